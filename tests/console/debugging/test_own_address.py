"""The address at which the debugger calls the API: this server's, whatever Host the user's request names."""

import pytest
from django.test import RequestFactory

from console.views.debug import own_address


@pytest.mark.parametrize(
    ("listening", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("192.0.2.7", "http://192.0.2.7:8000"),
        ("::", "http://[::1]:8000"),
        ("some.name", "http://127.0.0.1:8000"),
    ],
)
def test_the_debugger_calls_where_this_server_listens(
    rf: RequestFactory, listening: str, address: str
) -> None:
    request = rf.get("/", SERVER_NAME=listening, SERVER_PORT="8000", headers={"host": "elsewhere.example"})
    assert own_address(request) == address
