"""Hints for the properties and headers of the APIs, as in the documentation."""

from django.utils.translation import gettext_lazy as _

# By path in the body; a name alone applies wherever it occurs.
HINTS = {
    "data": _("每次请求可以有多项；结果的顺序与它们一致。"),
    "data.image": _("要入库的图片。"),
    "options": _("选填的参数；不填的不会出现在请求里。"),
    "quality": _("每个结果另带图片质量和不满足的原因。"),
    "groups": _("要搜索的人脸组，1-10 个，用空格或换行分隔。"),
    "top": _("每张人脸最多返回几人。"),
    "min_confidence": _("最低置信值，0-100。"),
    "faces": _("搜索最大的人脸，或最大的 10 张。"),
    "unique": _("与组内其他人员相似的人脸被拒绝（4305）。"),
    "group_id": _("人脸组 ID：1-64 个字母、数字、下划线、连字符和点。"),
    "person_id": _("人员 ID：1-64 个字母、数字、下划线、连字符和点。"),
    "face_id": _("人脸 ID，32 位十六进制；不填为该人员的全部人脸。"),
    "name": _("人脸组的名称；不填时，新组与 ID 相同，已有的组不变。"),
    "retention_days": _("人脸入库满这些天后自动删除；不填时，新组不自动删除，已有的组不变。"),
    "consent": _("本人单独同意处理其人脸信息的凭据。"),
    "reference": _("同意书编号。"),
    "expires_at_ms": _("同意的到期时刻，Unix 毫秒；到期后不再参与搜索并删除。"),
    "note": _("人员的备注；不填则不变。"),
    "after": _("从这个 ID 之后开始；取上一页返回的 next。"),
    "limit": _("一页最多几项。"),
    "Idempotency-Key": _("1-128 个可见 ASCII 字符：24 小时内相同的键与请求体只计费一次。"),
}


def hint(path: str) -> str:
    """Return the hint for a property at this path; "" if it has none."""
    name = path.rpartition(".")[2]
    return str(HINTS[path] if path in HINTS else HINTS.get(name) or "")
