"""Labels of the audit log: names of actions and of their details."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import roles
from accounts.models import AuditEntry
from billing.models import masked
from console.templatetags.show import money
from operations import catalogue_labels
from operations.actions.approvals import LABELS
from operations.actions.registry import ACTIONS
from operations.catalogue_labels import yes_or_no

NAMES: dict[str, Promise] = {
    "act": gettext_lazy("操作"),
    "after": gettext_lazy("新值"),
    "allowed_addresses": gettext_lazy("允许的来源地址"),
    "amount": gettext_lazy("金额"),
    "app": gettext_lazy("应用 ID"),
    "balance": gettext_lazy("余额"),
    "before": gettext_lazy("原值"),
    "cash": gettext_lazy("现金"),
    "concurrency": gettext_lazy("并发上限"),
    "disabled_keys": gettext_lazy("停用的密钥数"),
    "effective_at": gettext_lazy("生效时间"),
    "email": gettext_lazy("邮箱"),
    "entry": gettext_lazy("收支编号"),
    "expires_at": gettext_lazy("失效时间"),
    "face_limit": gettext_lazy("人脸库容量"),
    "face_value": gettext_lazy("面值"),
    "faces": gettext_lazy("人脸"),
    "field": gettext_lazy("字段"),
    "filter": gettext_lazy("筛选"),
    "key": gettext_lazy("AppKey"),
    "months": gettext_lazy("增加月数"),
    "order": gettext_lazy("订单编号"),
    "rate_per_s": gettext_lazy("每秒请求上限"),
    "request": gettext_lazy("申请编号"),
    "requested_by": gettext_lazy("提交人"),
    "reverses": gettext_lazy("冲正的充值"),
    "row": gettext_lazy("新增"),
    "rows": gettext_lazy("行数"),
    "valid_until": gettext_lazy("失效时间"),
    "voucher": gettext_lazy("券码"),
    "vouchers": gettext_lazy("代金券"),
    "worth": gettext_lazy("审批金额"),
}
# What users do to their own accounts (`audit.record_own`).
OWN_ACTS: dict[str, Promise] = {
    "own-addresses": gettext_lazy("本人修改允许的来源地址"),
    "own-email": gettext_lazy("本人验证邮箱"),
    "own-email-ask": gettext_lazy("本人填写新邮箱"),
    "own-key-disable": gettext_lazy("本人停用密钥"),
    "own-key-rotate": gettext_lazy("本人更换密钥"),
    "own-key-show": gettext_lazy("本人查看 SecretKey"),
    "own-password": gettext_lazy("本人修改密码"),
    "own-password-reset": gettext_lazy("本人重设密码"),
}
YUAN = frozenset({"amount", "balance", "cash", "face_value", "vouchers", "worth"})


def act_label(act: str) -> str:
    """Return the name of an action in the reader's language; its code if it no longer exists."""
    known = ACTIONS.get(act)
    return str(known.label if known else {**LABELS, **OWN_ACTS}.get(act, act))


def details(entry: AuditEntry) -> Iterator[tuple[str, str]]:
    """Yield the details of an entry, each with its label."""
    kept: Mapping[str, Any] = entry.details
    for name, value in kept.items():
        if name in ("before", "after") and isinstance(value, dict):
            continue
        yield _name(entry.subject, name), _text(entry.subject, name, value)
    before, after = kept.get("before"), kept.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        for name in after:
            texts = (_text(entry.subject, name, side.get(name)) for side in (before, after))
            yield _name(entry.subject, name), " → ".join(texts)


def _name(subject: str, name: str) -> str:
    if name in NAMES:
        return str(NAMES[name])
    return catalogue_labels.label_of(subject, name)


def _text(subject: str, name: str, value: Any) -> str:
    """Return one detail for a reader."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return yes_or_no(value)
    if name == "voucher":  # entries of earlier versions contain unmasked codes
        return masked(str(value))
    if name in YUAN:
        return money(value)
    if name == "act":
        return act_label(str(value))
    if isinstance(value, list):
        return _("、").join(str(roles.NAMES.get(one, one)) for one in value) or _("无")
    if isinstance(value, str) and (moment := _moment(value)):
        return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"
    return catalogue_labels.text_of(subject, name, value)


def _moment(text: str) -> datetime | None:
    """Parse a time in JSON, or return None."""
    try:
        found = parse_datetime(text) if "T" in text else None
    except ValueError:
        return None
    return found if found is not None and timezone.is_aware(found) else None
