"""The sample programs of docs/samples, which can be filled with an App's AppKey but never its secret."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

VARIABLES = "FACECLOUD_URL、FACECLOUD_APP_KEY、FACECLOUD_SECRET_KEY"
NEVER_FILLED = "FACECLOUD_SECRET_KEY"


@dataclass(frozen=True)
class Language:
    """A language of the samples, and its expressions for environment variables.

    `reads` has pairs: the expression that reads the variable {name}, and its replacement with {value}.
    """

    name: str
    file: str
    lexer: str
    reads: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        """The sample as it is in docs/samples."""
        return _text(self.file)

    def fill(self, values: dict[str, str]) -> str:
        """Return the sample with these variables written into it; the others are still read."""
        text = self.text
        for name, value in values.items():
            for read, filled in self.reads:
                text = text.replace(read.format(name=name), filled.format(name=name, value=value))
        return text.replace(VARIABLES, NEVER_FILLED) if values else text


LANGUAGES = {
    one.file: one
    for one in (
        Language(
            "curl + openssl", "facecloud.sh", "sh", (("set -eu\n", 'set -eu\n: "${{{name}:={value}}}"\n'),)
        ),
        Language(
            "Python",
            "facecloud.py",
            "python",
            (('os.environ["{name}"]', '"{value}"'), ("os.environ['{name}']", "'{value}'")),
        ),
        Language("Java", "FaceCloud.java", "java", (('env("{name}")', '"{value}"'),)),
        Language("Go", "facecloud.go", "go", (('os.Getenv("{name}")', '"{value}"'),)),
        Language("Node.js", "facecloud.mjs", "js", (("{name},", '{name} = "{value}",'),)),
        Language("PHP", "facecloud.php", "php", (("getenv('{name}')", "'{value}'"),)),
    )
}


@cache
def _text(file: str) -> str:
    return (Path(settings.BASE_DIR) / "docs" / "samples" / file).read_text(encoding="utf-8")
