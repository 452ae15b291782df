"""compose.yaml against the product that it runs."""

import subprocess
import sys

import pytest
import yaml

from tests.client.scripted import reply, scripted
from tests.conftest import REPOSITORY


@pytest.mark.parametrize(("status", "healthy"), [("200 OK", True), ("503 Service Unavailable", False)])
def test_the_health_check_asks_the_web_itself(status: str, healthy: bool) -> None:
    """Docker's client may put a proxy into every container's environment."""
    services = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())["services"]
    _shell, _python, *arguments = services["web"]["healthcheck"]["test"]
    with scripted(reply("200 OK", "a proxy")) as proxy, scripted(reply(status, "{}")) as web:
        asked = [argument.replace("http://localhost:8000", web.url) for argument in arguments]
        done = subprocess.run(
            [sys.executable, *asked],
            env={"http_proxy": proxy.url},
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert [request.path for request in web.requests] == ["/healthz"]
    assert (done.returncode == 0) == healthy
    assert proxy.requests == []
