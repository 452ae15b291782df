"""The table of answer codes, and the exception that carries a code up to the reply.

Numbers and Chinese messages are the manual's (4.1.2); 4015-4308, 5003 and 5004 are this product's own.

    ApiError(code)      any refusal of a call; the exception handler of faceapi.views turns it into the reply.
                        faceapi.middleware and facecloud.web.worker do so for requests that never reach a
                        view.
"""

from collections.abc import Mapping

from django.conf import settings

from faceapi.error_code import Code as Code
from faceapi.errors.details import in_chinese
from faceapi.gallery import codes as gallery

OK = 0
SUCCESS = ("成功", "Success")


NO_IMAGE = 4001
FORMAT = 4002
UNDECODABLE = 4003
URL_UNREACHABLE = 4004
URL_TIMEOUT = 4005
BASE64 = 4006
JSON = 4007
DIMENSIONS = 4008
IMAGE_TOO_LARGE = 4009
BODY_TOO_LARGE = 4010
URL_WRONG = 4011
NOT_AN_IMAGE = 4012
TOO_MANY_IMAGES = 4015
METHOD = 4016
CONTENT_ENCODING = 4017
IDEMPOTENCY_MISMATCH = 4018
BODY_INCOMPLETE = 4019
PATH = 4020
HTTP = 4021
IDEMPOTENCY_SPENT = 4022
NO_AUTHORIZATION = 4101
UNKNOWN_KEY = 4102
BAD_DATE = 4103
BAD_SIGNATURE = 4104
REPLAY = 4105
ADDRESS = 4106
NOT_ORDERED = 4201
USED_UP = 4202
EXPIRED = 4203
RATE = 4291
IDEMPOTENCY_BUSY = 4292
INTERNAL = 5001
INCOMPLETE_RESULT = 5002
OVERLOADED = 5003
NO_ANSWER = 5004

_ROWS = (
    Code(
        NO_IMAGE, 400,
        "请求未包含图片", "The request contains no image",
        "没有 data 字段、data 不是数组或为空，或其中的元素不是字符串（人脸比对：不是两个字符串组成的数组）。",
        "`data` is missing, not a list or empty, or an entry is not a string (for face_compare: not a "
        "pair of strings).",
        "请求体应为 {\"data\": [...]}，每个元素是图片 URL 或带前缀的 base64；人脸比对的每个元素是 [图片1, "
        "图片2]。",
        "Send {\"data\": [...]} whose entries are image URLs or prefixed base64; for face_compare "
        "[image 1, image 2].",
    ),
    Code(
        FORMAT, 400,
        "请求文件格式不支持", "The image format is not supported",
        "图片是可识别但不支持的格式（GIF、WebP、BMP、TIFF 等），含 alpha 透明通道，"
        "或通道数不是 1 或 3（CMYK）。",
        "The image has a known but unsupported format (GIF, WebP, BMP, TIFF, ...), an alpha channel, or "
        "neither 1 nor 3 channels (CMYK).",
        "转换为不含透明通道的灰度或 RGB 的 PNG 或 JPEG。",
        "Convert it to a grey or RGB PNG or JPEG without an alpha channel.",
    ),
    Code(
        UNDECODABLE, 400,
        "文件处理错误,请联系管理员", "The file could not be processed; contact the administrator",
        "文件头是 PNG 或 JPEG，但内容无法解码，可能已损坏或被截断。",
        "The header is that of a PNG or JPEG, but the content cannot be decoded; it may be damaged or "
        "truncated.",
        "检查原文件能否打开，重新导出或重新上传。",
        "Check that the original file can be opened; export or upload it again.",
    ),
    Code(
        URL_UNREACHABLE, 400,
        "无法读取该网络图片", "The image URL could not be read",
        "域名无法解析、连接被拒绝、TLS 证书无效、地址不允许访问、对方返回 5xx，或重定向次数过多。",
        "The host name does not resolve, the connection was refused, the TLS certificate is invalid, the "
        "address is not allowed, the server answered 5xx, or there were too many redirects.",
        "确认该 URL 可从公网访问，或改用 base64 提交图片。",
        "Make sure that the URL can be reached from the public Internet, or send the image as base64.",
    ),
    Code(
        URL_TIMEOUT, 400,
        "该文件请求超时", "The image URL did not respond in time",
        "网络文件未在超时时间内下载完成。",
        "The file at the URL was not downloaded within the time limit.",
        "稍后重试、换用更快的图片服务器，或改用 base64 提交图片。",
        "Try again later, use a faster image server, or send the image as base64.",
    ),
    Code(
        BASE64, 400,
        "base64 数据处理异常", "The base64 data could not be decoded",
        "字符串以 data: 开头，但前缀不是 data:application/octet-stream;base64,（或 image/png、image/jpeg），"
        "或逗号之后不是合法的 base64（标准或 URL safe 字母表）。",
        "The string starts with data: but not with data:application/octet-stream;base64, (or image/png, "
        "image/jpeg), or the text after the comma is not valid base64 (standard or URL-safe alphabet).",
        "检查前缀，并在本地解码逗号之后的内容：不要做百分号编码，不要截断，填充的 = 只能在末尾。",
        "Check the prefix, and decode the text after the comma locally: no percent-encoding, not truncated, "
        "padding (=) only at the end.",
    ),
    Code(
        JSON, 400,
        "请求 JSON 处理异常", "The request is not valid JSON",
        "请求体为空、不是合法的 UTF-8 JSON、除图片以外的内容过长，或 options 形式不对。",
        "The body is empty, is not valid UTF-8 JSON, or has too much text besides the images; or `options` "
        "is invalid.",
        "用 JSON 库生成请求体并以 UTF-8 编码发送；detail 指出问题和它在请求体中的位置。",
        "Create the body with a JSON library and send it as UTF-8; `detail` states what is wrong and where.",
    ),
    Code(
        DIMENSIONS, 400,
        "图片分辨率不符合要求", "The image's resolution is out of range",
        "图片的宽和高须在 32×32 到 5000×5000 像素之间（含）。",
        "Width and height must each be between 32 and 5000 pixels, inclusive.",
        "缩放图片后重试；图片的实际尺寸见 detail。",
        "Resize the image; `detail` states its size.",
    ),
    Code(
        IMAGE_TOO_LARGE, 400,
        "图片文件大小不符合要求", "The image file is too large",
        "单张图片超过 10 MiB。", "One image is larger than 10 MiB.",
        "降低分辨率或 JPEG 质量，使单张不超过 10 MiB。",
        "Lower its resolution or JPEG quality until it is at most 10 MiB.",
    ),
    Code(
        BODY_TOO_LARGE, 400,
        "文件大小不符合要求", "The request body is too large",
        "整个请求体超过上限；上限见 detail。",
        "The whole request body exceeds the limit given in `detail`.",
        "减少单次请求的图片数，分多次提交。",
        "Send fewer images in one request.",
    ),
    Code(
        URL_WRONG, 400,
        "url 错误或过期的 url", "The image URL is wrong or has expired",
        "既不是 http(s) URL，也没有 base64 的前缀；或对方返回 4xx。",
        "It is neither an http(s) URL nor base64 with its prefix, or the server answered 4xx.",
        "检查 URL；带签名的 URL 可能已过期，请重新生成。"
        "base64 前加上 data:application/octet-stream;base64,。",
        "Check the URL; if it is a signed URL that has expired, create a new one. Base64 must start with the "
        "prefix data:application/octet-stream;base64,.",
    ),
    Code(
        NOT_AN_IMAGE, 400,
        "不支持的文件类型", "The content is not an image",
        "内容不是图片。", "The content is not an image.",
        "提交 PNG 或 JPEG 图片；URL 须直接指向图片而不是网页。",
        "Send a PNG or JPEG image; a URL must point to the image itself, not to a page.",
    ),
    Code(
        4013, 400, "视频结果请求中不包含合法 job_id", "The video result request has no valid job_id",
        "为视频结果保留，目前不会返回。", "Reserved for video results; currently not returned.",
        "无需处理。", "Nothing to do.", reserved=True,
    ),
    Code(
        4014, 400, "视频结果无法正常获取", "The video result could not be read",
        "为视频结果保留，目前不会返回。", "Reserved for video results; currently not returned.",
        "无需处理。", "Nothing to do.", reserved=True,
    ),
    Code(
        TOO_MANY_IMAGES, 400, "图片数量超过上限", "Too many images in one request",
        "单次请求最多 100 张图片，人脸比对最多 50 组。",
        "At most 100 images per request; for face_compare, at most 50 pairs.",
        "分多次提交。", "Split it into several requests.",
    ),
    Code(
        METHOD, 405, "请求方法不支持", "The method is not allowed",
        "该接口只支持 POST。", "This API accepts POST only.",
        "改用 POST。", "Use POST.",
    ),
    Code(
        CONTENT_ENCODING, 400,
        "请求体不能压缩", "The request body must not be compressed",
        "请求带有 Content-Encoding 或 chunked 以外的 Transfer-Encoding（如 gzip）。图片本身已经压缩。",
        "The request has a Content-Encoding such as gzip, or a Transfer-Encoding other than chunked. "
        "Images are compressed already.",
        "不要压缩请求体，去掉该请求头。", "Send the body uncompressed and without that header.",
    ),
    Code(
        IDEMPOTENCY_MISMATCH, 400,
        "Idempotency-Key 已用于其他请求", "This Idempotency-Key was used for another request",
        "同一个 Idempotency-Key 在 24 小时内用于不同的接口或请求体，或该请求头不是 1-128 个可见 ASCII 字符。",
        "The same Idempotency-Key was used within 24 hours for another API or body, or it is not 1-128 "
        "visible ASCII characters.",
        "每个新的请求使用新的 Idempotency-Key，重试时保持请求体不变。",
        "Use a new Idempotency-Key for each new request, and keep the body unchanged when retrying.",
    ),
    Code(
        BODY_INCOMPLETE, 400,
        "请求体未完整送达", "The request body did not arrive in full",
        "连接中断、发送过慢、分块（chunked）有误，或 Content-Length 与实际长度不符。",
        "The connection broke, the body came too slowly, a chunk was malformed, or Content-Length is not "
        "the body's length.",
        "由 HTTP 库设置 Content-Length 或分块；检查网络后重试，网络较慢时减少单次请求的图片数。",
        "Let the HTTP library set Content-Length or the chunks. Check the network and retry; if it is slow, "
        "send fewer images per request.",
    ),
    Code(
        PATH, 404,
        "接口路径不存在", "There is no API at this address",
        "请求的路径不是任何接口的路径。", "The path does not belong to any API.",
        "使用 /api/v1/ 下文档所列的接口，如 face_detect.json：小写，末尾没有斜杠。",
        "Use a documented API under /api/v1/, such as face_detect.json: in lower case, without a "
        "slash at the end.",
    ),
    Code(
        HTTP, 400,
        "HTTP 请求格式错误", "The request is not valid HTTP",
        "请求行或请求头无法解析：含有未经百分号编码的字符，请求头重复、过多或过长，"
        "或上一个请求的请求体长于它的 Content-Length。",
        "The request line or a header could not be parsed: a character is not percent-encoded, a "
        "header is repeated or too long, there are too many headers, or the previous body was longer than "
        "its Content-Length.",
        "用 HTTP 库发送请求；路径和参数中的非 ASCII 字符先做百分号编码，再签名和发送。",
        "Use an HTTP library; percent-encode non-ASCII characters in path and query before you sign.",
    ),
    Code(
        IDEMPOTENCY_SPENT, 400,
        "Idempotency-Key 已失效", "This Idempotency-Key is used up",
        "该 Idempotency-Key 的请求已经成功并计费，但它的应答已不再保存，或已重复返回 20 次。本次不计费。",
        "The request with this key was charged, but its answer is no longer stored or was already repeated "
        "20 times. Nothing was charged this time.",
        "使用新的 Idempotency-Key 重新请求，将作为新的请求计费；需要应答时请尽快重试。",
        "Send the request with a new Idempotency-Key; it is charged as a new request. The stored answer is "
        "returned only to an early retry.",
    ),
    Code(
        NO_AUTHORIZATION, 401,
        "缺少鉴权信息或格式错误", "The Authorization header is missing or malformed",
        "没有 Authorization 请求头，或格式不是 CTYUN <AppKey>:<64 位十六进制签名>。",
        "There is no Authorization header, or it is not CTYUN <AppKey>:<64 hex digits>.",
        "按“接口鉴权”的步骤签名，并加上请求头 Authorization: CTYUN <AppKey>:<签名>。",
        "Sign the request as described under \"Authentication\", and send the header "
        "Authorization: CTYUN <AppKey>:<signature>.",
    ),
    Code(
        UNKNOWN_KEY, 401,
        "AppKey 不存在或已停用", "The AppKey is unknown or disabled",
        "AppKey 有误、已停用或已过重叠期。",
        "The AppKey is wrong, disabled, or was replaced and has expired.",
        "在控制台的应用密钥页核对 AppKey（16 位小写十六进制，不是 SecretKey）。",
        "Check the AppKey on the App's key page in the console: 16 lower-case hex digits, not the SecretKey.",
    ),
    Code(
        BAD_DATE, 401,
        "X-CTYUN-DT 错误或时间偏差过大", "X-CTYUN-DT is malformed or too far from the server's clock",
        "没有 X-CTYUN-DT，不是毫秒级 Unix 时间戳，或与服务器时间相差超过允许范围。",
        "X-CTYUN-DT is missing, is not a Unix timestamp in milliseconds, or differs too much from the "
        "server's clock.",
        "校准本机时钟，使用毫秒级时间戳，并在发送前签名。",
        "Synchronise your clock, use milliseconds, and sign just before sending.",
    ),
    Code(
        BAD_SIGNATURE, 401,
        "签名错误", "The signature is wrong",
        "服务器按收到的请求计算出的签名与请求中的不同。",
        "The signature computed from the received request differs from the one given.",
        "将 signed 中服务器看到的方法、路径、参数、时间戳和请求体 SHA-1 与本地的逐项比较；"
        "常见错误见 detail。",
        "Compare the method, path, query, timestamp and body SHA-1 in `signed`, as the server received them, "
        "with those that you signed; `detail` names the mistake if it is a common one.",
    ),
    Code(
        REPLAY, 401,
        "请求重复", "The request was sent twice",
        "同一个签名在有效期内只能使用一次。", "A signature can be used only once within its time window.",
        "每次请求（包括重试）都用新的时间戳重新签名；同一毫秒内的两个相同请求，在参数中加入不同的内容。",
        "Sign every request, including retries, with a new timestamp; give identical requests in the same "
        "millisecond different queries.",
    ),
    Code(
        ADDRESS, 401,
        "来源地址不允许", "The caller's address is not allowed",
        "该应用设置了来源地址白名单。", "This App has an allow-list of addresses.",
        "从允许的地址调用，或在控制台该应用的“详情与资源包”页修改来源地址白名单；服务器看到的地址见 detail。",
        "Call from an allowed address, or change the App's allowed addresses in the console, under \"Details "
        "and packages\"; `detail` states the address that the server saw.",
    ),
    Code(
        NOT_ORDERED, 402,
        "该应用未开通此接口", "This API has not been ordered for this App",
        "该应用没有订购过此 API。", "No package for this API was ever ordered for this App.",
        "在控制台为该应用订购此 API。", "Order this API for this App in the console.",
    ),
    Code(
        USED_UP, 402,
        "本计费周期调用量已用完", "The units of this billing period are used up",
        "剩余调用量不足以完成本次请求。", "The remaining units do not cover this request.",
        "再次购买，或等待下一个计费周期。", "Buy again, or wait for the next billing period.",
    ),
    Code(
        EXPIRED, 402, "订购已到期", "The packages of this API have expired",
        "该应用此 API 的资源包均已到期。", "All packages of this App for this API have expired.",
        "在控制台再次购买。", "Buy again in the console.",
    ),
    Code(
        RATE, 429, "请求过于频繁", "Too many requests",
        "超过某项上限：应用的请求频率或并发、同一客户同时进行的调用、失败或中途断开的调用所占用的处理时间，"
        "或来自同一地址的未通过验签的数据量。detail 指明是哪一项。",
        "A limit was exceeded: the App's rate or concurrency, the customer's concurrent calls, the work done "
        "for the customer's failed or aborted calls, or the bytes from one address without a verified "
        "signature. `detail` states which.",
        "等待 Retry-After 秒后重试。", "Wait for the number of seconds in Retry-After, then try again.",
    ),
    Code(
        IDEMPOTENCY_BUSY, 429,
        "相同 Idempotency-Key 的请求正在处理", "A request with this Idempotency-Key is in progress",
        "先前的同一请求还没有结束。", "The earlier request with the same key has not ended yet.",
        "等待 Retry-After 秒后重试。", "Wait for the number of seconds in Retry-After, then try again.",
    ),
    *gallery.ROWS,
    Code(
        INTERNAL, 500,
        "服务接口异常,请联系管理员", "The service failed; contact the administrator",
        "推理失败或出现意外情况；返回带有 index 时，是该图片导致推理失败。本次不计费。",
        "Inference failed, or an unexpected error occurred; if there is an `index`, the image at this "
        "position made inference fail. Nothing was charged.",
        "稍后重试，返回带有 index 时去掉该图片；仍然失败时请提供 request_id。",
        "Try again later; if there is an `index`, leave out that image. If the error persists, report the "
        "request_id.",
    ),
    Code(
        INCOMPLETE_RESULT, 500,
        "接口返回不包括所需信息", "The result lacks required information",
        "推理有返回，但缺少所需的信息。",
        "Inference returned a result, but without a field that the reply needs.",
        "稍后重试；仍然失败时请提供 request_id。",
        "Try again later; if the error persists, report the request_id.",
    ),
    Code(
        OVERLOADED, 503,
        "服务繁忙，请稍后重试", "The service is overloaded; try again later",
        "排队的请求已达上限，或后端服务暂不可用，或已用签名的记录丢失（见 detail）。本次不计费。",
        "The queue is full, a backend service is unavailable, or the record of used signatures was lost (see "
        "`detail`). Nothing was charged.",
        "等待 Retry-After 秒后重新签名并重试。",
        "Wait for the number of seconds in Retry-After, then sign the request again and send it.",
    ),
    Code(
        NO_ANSWER, 504, "处理超时", "Processing timed out",
        "推理未在时限内完成。本次不计费。", "Inference did not finish in time. Nothing was charged.",
        "稍后重试，或减少单次请求的图片数。", "Try again later, or send fewer images.",
    ),
)  # fmt: skip

TABLE: Mapping[int, Code] = {row.number: row for row in _ROWS}


def in_use() -> list[Code]:
    """Return the codes that this installation uses: without those of a disabled face gallery."""
    return [row for row in TABLE.values() if settings.GALLERY or row not in gallery.ROWS]


class ApiError(Exception):
    """A refusal of the call with a code of the table.

    `index` is the position of the image (for compare: of the pair) at fault. `detail` is one English sentence
    about this request, never with a secret or image content; `detail_zh` is the same in Chinese, by default
    from faceapi/errors/details.py. `retry_after_s` becomes the Retry-After header. `signed` is the request as
    received, if its signature is wrong. `quality` is the reason why a picture could not be enrolled.
    """

    def __init__(
        self,
        code: int,
        detail: str = "",
        detail_zh: str = "",
        *,
        index: int | None = None,
        retry_after_s: int | None = None,
        signed: Mapping[str, str | int] | None = None,
        quality: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{code} {detail}".strip())
        self.row = TABLE[code]
        self.code = code
        self.detail, self.detail_zh = detail, detail_zh or in_chinese(detail)
        self.index = index
        self.retry_after_s = retry_after_s
        self.signed = signed
        self.quality = quality
