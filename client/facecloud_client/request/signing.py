"""The signature of manual 4.1.3, over the exact bytes, path and query that are sent."""

import hashlib
import hmac


def request_string(method: str, path: str, query: str, dt: str, body_sha1: str) -> str:
    """Return the string to sign: one line each; an empty query keeps its line."""
    return "\n".join([method, path, query, dt, body_sha1])


def sign(secret: str, method: str, path: str, query: str, dt: str, body_sha1: str) -> str:
    """Return the lower-case hex HMAC-SHA256 of the string to sign."""
    text = request_string(method, path, query, dt, body_sha1)
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def headers(
    app_key: str, secret: str, method: str, path: str, query: str, dt: str, body_sha1: str
) -> dict[str, str]:
    """Return the two headers that carry the signature."""
    signature = sign(secret, method, path, query, dt, body_sha1)
    return {"Authorization": f"CTYUN {app_key}:{signature}", "X-CTYUN-DT": dt}
