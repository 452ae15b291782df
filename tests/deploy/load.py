"""Signed calls at a steady rate through the proxy, in the background, with a count of the results."""

import http.client
import json
import ssl
import threading
import time
from base64 import b64encode
from collections import Counter
from typing import Any, Self
from urllib.parse import urlsplit

from faceapi.authentication.signing import sign

PATH = "/api/v1/face_detect.json"


class Load:
    """Calls from `callers` threads, with a connection per call and without retries."""

    def __init__(
        self, url: str, key: str, secret: str, picture: bytes, *, callers: int = 4, pause_s: float = 0.2
    ):
        self._address = urlsplit(url)
        self._key, self._secret = key, secret
        self._image = "data:image/png;base64," + b64encode(picture).decode()
        self._pause_s = pause_s
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(callers)]
        self._lock = threading.Lock()
        self.outcomes: Counter[str] = Counter()
        self.slowest_s = 0.0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        time.sleep(2)
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(3)
        self._ends.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if outcome != "code 0")

    def summary(self) -> str:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"{counts}; slowest {self.slowest_s:.1f} s"

    def _run(self, number: int) -> None:
        serial = 0
        while not self._ends.is_set():
            serial += 1
            body = json.dumps({"data": [self._image], "note": f"{number}.{serial}"}).encode()
            started = time.monotonic()
            outcome = self.call(body)
            taken_s = time.monotonic() - started
            with self._lock:
                self.outcomes[outcome] += 1
                self.slowest_s = max(self.slowest_s, taken_s)
            time.sleep(self._pause_s)

    def call(self, body: bytes) -> str:
        headers = sign(self._key, self._secret, "POST", PATH, "", time.time_ns() // 1_000_000, body)
        host, port = self._address.hostname or "", self._address.port
        connection: Any = http.client.HTTPConnection(host, port, timeout=90)
        if self._address.scheme == "https":
            connection = http.client.HTTPSConnection(
                host, port, timeout=90, context=ssl.create_default_context()
            )
        try:
            connection.request("POST", PATH, body, {**headers, "Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()
        try:
            return f"code {json.loads(text)['code']}"
        except (ValueError, KeyError):
            return f"HTTP {response.status} without JSON"
