"""Chinese translations of the `detail` of an error, which is one sentence about the request.

`detail` is written in English where the error is raised, including in inference, which has no translations.
This table has the Chinese of each sentence; braces are placeholders for its values, in order.
tests/faceapi/errors/test_details.py fails if a detail in the code is missing here.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache

from django.utils import timezone

from billing.errors import UsedUp

# English: Chinese. In the Chinese {0} is the first value of the English, {1} the second.
CHINESE = {
    # --- the request -----------------------------------------------------------------
    "Content-Length is not a number": "Content-Length 不是数字",
    "{} bytes, the limit is {}": "共 {0} 字节，上限为 {1} 字节",
    "{} bytes received; {}": "已收到 {0} 字节；{1}",
    "Content-Length is {}": "Content-Length 声明了 {0} 字节",
    "too slow: at least {} bytes per second are required": "发送过慢：每秒至少应发送 {0} 字节",
    "the body was cut off": "请求体中途断开",
    "the next chunk is invalid": "后续内容不是有效的分块",
    "the body is {}, not an object {\"data\": [...]}": "请求体是{0}，应为对象 {\"data\": [...]}",
    "the body has no \"data\"": "请求体没有 data",
    "\"data\" is {}, not a list of at least one entry": "data 是{0}，应为至少有一项的列表",
    "{} entries, the limit is {}": "共 {0} 项，上限为 {1} 项",
    "{} instead of a pair of images": "应为一对图片的位置是{0}",
    "{} instead of an image": "应为图片的位置是{0}",
    '"options" is not {"quality": true} or {"quality": false}': (
        'options 应为 {"quality": true} 或 {"quality": false}'
    ),
    "more than {} images": "图片多于 {0} 张",
    "the client closed the connection before the answer": "客户端在应答之前关闭了连接",
    "did you mean {}?": "是否应为 {0}？",
    "the headers are too long": "请求头过长",
    "the request came too slowly": "请求发送过慢",
    # --- JSON ------------------------------------------------------------------------
    "{} is not valid JSON": "{0} 不是合法的 JSON",
    "the body is empty": "请求体为空",
    "the body ends inside a string": "请求体在字符串中间结束",
    "nested too deeply": "嵌套层数过多",
    "a number with too many digits": "数字的位数过多",
    "more than {} bytes of JSON besides the images": "图片以外的 JSON 超过 {0} 字节",
    "not UTF-8": "不是 UTF-8 编码",
    "a string with a control character, an invalid escape, or not in UTF-8": (
        "字符串含有控制字符、错误的转义，或不是 UTF-8 编码"
    ),
    "{} at byte {} of {}": "{0}，位置：第 {1} 字节，共 {2} 字节",
    "{}: it looks like UTF-16 or UTF-32, send UTF-8": "{0}：看起来是 UTF-16 或 UTF-32，请以 UTF-8 发送",
    "Expecting value": "此处应为一个值",
    "Expecting ',' delimiter": "此处应为逗号",
    "Expecting ':' delimiter": "此处应为冒号",
    "Expecting property name enclosed in double quotes": "此处应为双引号括起的属性名",
    "Illegal trailing comma before end of object": "对象末尾有多余的逗号",
    "Illegal trailing comma before end of array": "列表末尾有多余的逗号",
    "Extra data": "JSON 之后还有多余的内容",
    "Unterminated string starting": "字符串没有结束",
    "Invalid control character": "字符串含有控制字符",
    "Invalid \\escape": "错误的转义",
    "Invalid \\uXXXX escape": "错误的 \\uXXXX 转义",
    "a string": "字符串",
    "a list": "列表",
    "a list of {}": "有 {0} 项的列表",
    "an empty list": "空列表",
    "an object": "对象",
    "a boolean": "布尔值",
    "a number": "数字",
    "null": "null",
    "Idempotency-Key must be 1-128 visible ASCII characters": "Idempotency-Key 应为 1-128 个可见 ASCII 字符",
    "more escapes than text or base64 need": "转义过多，文本和 base64 都不需要这么多",
    "more than {} commas, colons, brackets and quotes": "逗号、冒号、括号和引号多于 {0} 个",
    # --- base64 ----------------------------------------------------------------------
    "an inline image must start with {}": "以 data: 开头的图片，前缀应为 {0}",
    "base64 without its prefix {}": "base64 缺少前缀 {0}",
    "neither an http(s) URL nor a string that starts with {}": "既不是 http(s) URL，也不以 {0} 开头",
    "base64 that is cut off: a single character is left over": "base64 被截断：末尾多出一个字符",
    "base64 that ends with {} '=' instead of {}": "base64 末尾有 {0} 个“=”，应为 {1} 个",
    "base64 with '=' before its end": "base64 中间出现“=”",
    "{} is not a base64 character": "{0} 不是 base64 字符",
    "not valid base64": "不是合法的 base64",
    "base64 with spaces, which were '+' before URL-decoding; send it as JSON, or in the URL-safe alphabet": (
        "base64 中有空格：其中的“+”被 URL 解码成了空格；请以 JSON 发送，或使用 URL safe 字母表"
    ),
    # --- a URL of a picture ----------------------------------------------------------
    "a URL of {} characters, the limit is {}": "URL 有 {0} 个字符，上限为 {1} 个",
    "a URL that contains {}, which must be percent-encoded": "URL 含有 {0}，应使用百分号编码",
    "a URL whose host or port is malformed": "URL 的主机名或端口格式错误",
    "a URL without a host": "URL 没有主机名",
    "a URL with a user name or a password": "URL 含有用户名或密码",
    "a URL with port {}: 80, 443 and 1024-65535 are allowed": "URL 的端口是 {0}，支持 80、443 和 1024-65535",
    "the host name does not resolve": "主机名无法解析",
    "host names cannot be looked up now": "暂时无法解析主机名",
    "the host resolves to an address that is not public": "主机名解析到的不是公网地址",
    "it redirects to a URL other than http(s)": "重定向到的不是 http(s) URL",
    "more than {} redirects": "重定向超过 {0} 次",
    "TLS: {}": "TLS 证书校验失败：{0}",
    "the connection failed: {}": "连接失败：{0}",
    "not delivered within the time limit": "没有在时限内下载完成",
    "the content is not valid gzip": "内容不是有效的 gzip",
    "the content is compressed, but not with gzip": "内容以 gzip 以外的方式压缩",
    "a redirect without Location": "重定向没有 Location",
    "the server answered {}": "图片服务器返回 {0}",
    "more than {} bytes at the URL": "URL 的内容超过 {0} 字节",
    "given up": "已放弃",
    "the content is shorter than its Content-Length": "内容短于 Content-Length",
    # --- a picture -------------------------------------------------------------------
    "an empty image": "图片为空",
    "more than {} bytes": "超过 {0} 字节",
    "no known image signature": "文件开头不是任何已知的图片格式",
    "{} is not served": "不支持 {0} 格式",
    "{} px is outside {} to {}": "图片为 {0} 像素，应在 {1} 到 {2} 之间",
    "a JPEG scan before its frame header": "JPEG 的扫描数据出现在帧头之前",
    "a JPEG frame header of the wrong length": "JPEG 帧头的长度错误",
    "a JPEG with {} channels": "JPEG 有 {0} 个通道",
    "a JPEG with {} bits per sample": "JPEG 每个采样为 {0} 位",
    "a JPEG of coding process {}": "不支持 JPEG 编码方式 {0}",
    "JPEG marker {} instead of a segment": "JPEG 的数据段位置出现标记 {0}",
    "a JPEG segment runs past the end of the file": "JPEG 的数据段超出文件末尾",
    "a JPEG with two frame headers": "JPEG 有两个帧头",
    "more than {} JPEG segments": "JPEG 的数据段超过 {0} 个",
    "a JPEG that ends before its first scan": "JPEG 在第一段图像数据之前结束",
    "a JPEG that ends, or holds no marker, before its end marker": "JPEG 在结束标记之前中断",
    "a JPEG with {} scans": "JPEG 有 {0} 次扫描，过多",
    "a truncated JPEG": "JPEG 在中间被截断",
    "too many PNG chunks for the size of the file": "相对文件大小，PNG 的数据块过多",
    "a PNG does not start with IHDR": "PNG 不以 IHDR 开头",
    "wrong checksum of IHDR": "IHDR 的校验和错误",
    "IHDR holds an invalid combination": "IHDR 的取值组合无效",
    "a PNG with an alpha channel": "PNG 含有 alpha 通道",
    "a PNG with transparency (tRNS)": "PNG 含有透明信息（tRNS）",
    "a PNG without image data": "PNG 没有图像数据",
    "a palette PNG without its palette": "调色板 PNG 没有调色板",
    "a PNG that ends before IEND": "PNG 在 IEND 之前结束",
    "the decoder refused: {}": "解码器拒绝：{0}",
    "the decoder could not decode this {}": "解码器无法解码这张 {0}",
    "the decoder failed": "解码器无法解码",
    "the record of used signatures was lost; sign the request again with a new X-CTYUN-DT": (
        "已用签名的记录丢失；请以新的 X-CTYUN-DT 重新签名后发送"
    ),
    # --- the face gallery ------------------------------------------------------------
    "the face gallery is switched off in this installation": "本系统没有启用人脸库",
    "group_id {}": "group_id 为 {0}",
    "person_id {} of group {}": "组 {1} 的 person_id 为 {0}",
    "face_id {} of person_id {} of group {}": "组 {2} 中 person_id {1} 的 face_id 为 {0}",
    "the limit is {} {}": "{1}上限为 {0}",
    "faces": "人脸",
    "groups": "组",
    "it matches person_id {}": "与 person_id 为 {0} 的人员相似",
    "the consent has expired": "同意已到期",
    "person_id {}, the limit is {} faces": "person_id 为 {0}，上限为 {1} 张人脸",
    "not face:<group_id>/<person_id> or face:<group_id>/<person_id>/<face_id>": (
        "不是 face:<group_id>/<person_id> 或 face:<group_id>/<person_id>/<face_id>"
    ),
    "the workers are being upgraded": "推理 worker 正在升级",
    "{} instead of an object": "应为对象的位置是{0}",
    "unknown field {}": "未知的字段 {0}",
    "{} must be 1-64 characters of A-Z a-z 0-9 _ - .": "{0} 应为 1-64 个字符：A-Z a-z 0-9 _ - .",
    "{} must be at most {} printable characters": "{0} 应为至多 {1} 个可打印字符",
    "the limits of all entries add up to more than {}": "所有条目的 limit 之和超过 {0}",
    "{} must be a whole number from {} to {}": "{0} 应为 {1} 到 {2} 的整数",
    '"options" is {}, not an object': "options 是{0}，应为对象",
    "{} must be true or false": "{0} 应为 true 或 false",
    '"consent" is {}, not an object': "consent 是{0}，应为对象",
    "consent.reference is missing": "没有 consent.reference",
    "options.groups must be a list of 1 to {} group ids": "options.groups 应为 1 到 {0} 个 group_id 的列表",
    'options.faces must be "largest" or "all"': 'options.faces 应为 "largest" 或 "all"',
    "options.min_confidence must be a number from 0 to 100": "options.min_confidence 应为 0 到 100 的数",
    # Reasons why a picture cannot be enrolled (inference/results.py).
    "no_face": "没有人脸",
    "face_too_small": "人脸过小",
    "blurred": "模糊",
    "too_dark": "过暗",
    "too_bright": "过亮",
    "low_contrast": "对比度低",
    "extreme_pose": "姿态过大",
    "rotated": "人脸朝向不明",
    "cut_off": "被图片边缘截断",
    "several_faces": "有多张大小相近的人脸",
    # --- the service -----------------------------------------------------------------
    "the broker is not available": "消息队列不可用",
    "{} results for {} images": "{1} 张图片只有 {0} 个结果",
    "too many concurrent large requests": "同时进行的大请求过多",
    "too many slow uploads, of which this is the slowest": "上传缓慢的请求过多，本次请求最慢",
    "too many concurrent calls": "同时进行的调用过多",
    "too many concurrent requests": "同时进行的请求过多",
    "no space to store the request": "没有空间存放这次请求",
    "{} chunks are waiting": "有 {0} 块图片在排队",
    "no worker is ready": "没有可用的推理 worker",
    "a backend service is not available": "后端服务不可用",
    "the call took longer than its hold": "调用时间超过了预扣的时限",
}  # fmt: skip


def in_chinese(detail: str) -> str:
    """Return the Chinese of an English detail, or "" if the table does not have it."""
    if detail in CHINESE:
        return CHINESE[detail]
    for pattern, chinese in _patterns():
        if found := pattern.fullmatch(detail):
            values = [in_chinese(value) or value for value in found.groups()]
            return _filled(chinese, values)
    return ""


def _filled(chinese: str, values: list[str]) -> str:
    return re.sub(r"\{(\d)\}", lambda slot: values[int(slot[1])], chinese)


@cache
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return the patterns of sentences with values, those with the most fixed text first."""
    with_values = sorted((one for one in CHINESE if "{}" in one), key=lambda one: -len(one))
    return [
        (re.compile("(.+)".join(re.escape(part) for part in one.split("{}")), re.DOTALL), CHINESE[one])
        for one in with_values
    ]


# --- quality -------------------------------------------------------------------

_REASONS = {
    "no_face": "no face",
    "face_too_small": "the face is too small",
    "blurred": "it is blurred",
    "too_dark": "it is too dark",
    "too_bright": "it is too bright",
    "low_contrast": "its contrast is low",
    "extreme_pose": "the face is turned too far",
    "rotated": "it is unclear which way up the face is",
    "cut_off": "the face is cut off",
    "several_faces": "several faces of similar size",
}


def not_good_enough(reasons: Sequence[str]) -> tuple[str, str]:
    """Return why a picture cannot be enrolled, in English and in Chinese."""
    return ", ".join(_REASONS[reason] for reason in reasons), "、".join(map(in_chinese, reasons))


# --- quota ---------------------------------------------------------------------


def used_up(error: UsedUp, images: int, pairs: int) -> tuple[str, str]:
    """Return why the units of the month are not enough, in English and in Chinese.

    How many units the request needs depends on the meter of each package, so its content is stated.
    """
    next_at, remaining = error.details.get("next_at"), error.details.get("remaining")
    then = then_zh = ""
    if isinstance(next_at, datetime):
        then = f"; the next period starts at {next_at.isoformat()}"
        then_zh = f"；下一个计费周期从 {_local(next_at)} 开始"
    number, noun, noun_zh = (pairs, "pair", "对") if pairs else (images, "image", "张图片")
    content = f"{number} {noun}" if number == 1 else f"{number} {noun}s"
    return (
        f"remaining units: {remaining}, fewer than this request with {content} needs{then}",
        f"剩余调用量为 {remaining}，不足以处理本次请求的 {number} {noun_zh}{then_zh}",
    )


def ended(ended_at: object) -> tuple[str, str]:
    """Return when the last package ended, in English and in Chinese."""
    if not isinstance(ended_at, datetime):
        return "", ""
    at = ended_at.isoformat()
    return f"the last package ended at {at}", f"最后一个资源包已于 {_local(ended_at)} 到期"


def _local(moment: datetime) -> str:
    """Return the time as the console shows it."""
    return timezone.localtime(moment).strftime("北京时间 %Y-%m-%d %H:%M")
