"""pip's settings are translated for uv."""

import pytest

from embedded.pip_settings import translate


@pytest.mark.parametrize(
    ("listing", "settings"),
    [
        ("", {}),
        (
            "global.index-url='https://mirror.example/simple'",
            {"UV_DEFAULT_INDEX": "https://mirror.example/simple"},
        ),
        (
            ":env:.index-url='https://env.example/simple'\nglobal.index-url='https://mirror.example/simple'",
            {"UV_DEFAULT_INDEX": "https://env.example/simple"},
        ),
        (
            "global.extra-index-url='file:///srv/a/simple file:///srv/b/simple'",
            {
                "UV_INDEX": "file:///srv/a/simple file:///srv/b/simple",
                "UV_INDEX_STRATEGY": "unsafe-best-match",
            },
        ),
        (
            "global.find-links='\\n/srv/wheels\\n/srv/more'\ninstall.trusted-host='mirror.example'",
            {"UV_FIND_LINKS": "/srv/wheels,/srv/more", "UV_INSECURE_HOST": "mirror.example"},
        ),
        ("global.cert='/etc/ssl/own.pem'", {"SSL_CERT_FILE": "/etc/ssl/own.pem"}),
        ("global.timeout='60'\nglobal.quiet='1'\nfreeze.timeout='10'", {"UV_HTTP_TIMEOUT": "60"}),
    ],
)
def test_pip_settings_become_variables_of_uv(listing: str, settings: dict[str, str]) -> None:
    assert translate(listing) == settings
