"""A first signed call, as a customer's program makes it: HTTP, the manual's signature, base64."""

import base64
import json
import time
import urllib.error
import urllib.request
from typing import Any

from faceapi.authentication.signing import sign

PATH = "/api/v1/face_detect.json"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy


RETRIES = 5


def detect_when_ready(url: str, app_key: str, secret: str, picture: bytes) -> dict[str, Any]:
    """Call `detect`, and repeat it with a new signature while the service is not ready (5003).

    After a restart the replay guard rejects signatures for some seconds (faceapi/authentication/replay.py).
    """
    for _ in range(RETRIES):
        answer = detect(url, app_key, secret, picture)
        if answer.get("code") != 5003:
            break
        time.sleep(2)
    return answer


def detect(url: str, app_key: str, secret: str, picture: bytes, timeout_s: float = 60) -> dict[str, Any]:
    """Call face_detect and return the JSON of the reply, for any code."""
    picture_text = base64.b64encode(picture).decode()
    body = json.dumps({"data": [f"data:application/octet-stream;base64,{picture_text}"]}).encode()
    headers = sign(app_key, secret, "POST", PATH, "", int(time.time() * 1000), body)
    headers["Content-Type"] = "application/json"
    request = urllib.request.Request(url + PATH, data=body, headers=headers)  # noqa: S310 - our own address
    try:
        with DIRECT.open(request, timeout=timeout_s) as reply:
            answer: dict[str, Any] = json.load(reply)
    except urllib.error.HTTPError as error:
        answer = json.load(error)
    return answer
