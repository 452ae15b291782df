"""The signature of manual 4.1.3, over the bytes, path and query exactly as they are sent."""

import hashlib
import hmac


def request_string(method: str, path: str, query: str, dt: str, body_sha1: str) -> str:
    """METHOD, path, query, X-CTYUN-DT and body SHA-1, joined by newlines; an empty query keeps its line."""
    return "\n".join([method, path, query, dt, body_sha1])


def sign(secret: str, method: str, path: str, query: str, dt: str, body_sha1: str) -> str:
    """Lower-case hex HMAC-SHA256 of the request string."""
    text = request_string(method, path, query, dt, body_sha1)
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def headers(
    app_key: str, secret: str, method: str, path: str, query: str, dt: str, body_sha1: str
) -> dict[str, str]:
    """The two headers that carry the signature."""
    signature = sign(secret, method, path, query, dt, body_sha1)
    return {"Authorization": f"CTYUN {app_key}:{signature}", "X-CTYUN-DT": dt}
