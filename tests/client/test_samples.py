"""docs/samples: each one signs the golden vector."""

from tests.client.samples import COMMANDS, SAMPLES, Run

GOLDEN = "4ce71311d8e2adf7a550633f70aece92c3e8003f2b4a0a5665506ed79d49cca0"
VECTOR = ["POST", "/api/v1/face_detect.json", "", "1544518784923"]
BODY = '{"data": ["https://example.org/example.png"]}'
SECRET = "0123456789abcdef0123456789abcdef"


def test_every_sample_is_tested() -> None:
    assert sorted(path.name for path in SAMPLES.iterdir()) == sorted(COMMANDS)


def test_every_sample_signs_the_golden_vector(run: Run) -> None:
    assert run("--sign", *VECTOR, BODY, FACECLOUD_SECRET_KEY=SECRET).strip() == GOLDEN


def test_query_and_chinese_text_are_signed_unmodified(run: Run) -> None:
    # Made with Python's hashlib and hmac over the same five lines.
    expected = "6aa682f014f80a13caf54f92ca092ddc7f9f57fc4aacb842c0dc123ffd573d1f"
    printed = run(
        "--sign", "POST", "/v1/face_compare.json", "b=2&a=%2F", "1545638099000", '{"data": ["图"]}',
        FACECLOUD_SECRET_KEY=SECRET,
    ).strip()  # fmt: skip
    assert printed == expected
