"""The folders of an instance: all under var/, except the sockets if their path would be too long there."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SOCKET_PATH_LIMIT = 100  # the kernel's limit is 107 bytes
MEMORY_FOLDER, ROOMY_BYTES = Path("/dev/shm"), 4_000_000_000  # noqa: S108 - mkdtemp creates our folder in it
LONGEST_SOCKET_NAME = "/.s.PGSQL.5432.lock"


@dataclass(frozen=True)
class Paths:
    """The folders of one instance. Each instance needs its own `var`."""

    var: Path

    @property
    def data(self) -> Path:
        return self.var / "postgres"

    @property
    def logs(self) -> Path:
        return self.var / "log"

    @property
    def lock(self) -> Path:
        return self.var / "lock"

    @property
    def secrets(self) -> Path:
        return self.var / "secrets.env"

    @property
    def demo(self) -> Path:
        return self.var / "demo.env"

    @property
    def mail(self) -> Path:
        """Return the folder for mails if EMAIL_URL is not set (common/mail_backends.py)."""
        return self.var / "mail"

    @property
    def static(self) -> Path:
        """Return the folder of collected static files. whitenoise requires it, so it exists even if empty."""
        return self.var / "static"

    @property
    def models(self) -> Path:
        return Path(os.environ.get("MODELS_DIR") or self.var / "models")

    @property
    def sockets(self) -> Path:
        """Return var/run, or a folder in the temporary directory if that path is too long for a socket."""
        near = self.var / "run"
        if len(os.fsencode(near)) + len(LONGEST_SOCKET_NAME) <= SOCKET_PATH_LIMIT:
            return near
        digest = sha256(os.fsencode(self.var)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"facecloud-{os.getuid()}-{digest}"

    def make(self) -> None:
        """Create the folders with mode 0700, and tighten those of an earlier version.

        They contain keys, logs and mails, and anyone who can open the sockets is a superuser of the database.
        Raises PermissionError if the folder of the sockets belongs to another user.
        """
        for folder in (self.var, self.logs, self.static, self.sockets):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.stat().st_uid == os.getuid():
                folder.chmod(0o700)
        for file in self.logs.glob("*.log*"):
            if file.stat().st_uid == os.getuid():
                file.chmod(0o600)
        if self.sockets.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.sockets} belongs to another user.")


def here() -> Paths:
    """Return the paths of this checkout, or those in FACECLOUD_VAR_DIR."""
    return Paths(Path(os.environ.get("FACECLOUD_VAR_DIR") or REPOSITORY / "var").resolve())


def memory_folder() -> Path | None:
    """Return /dev/shm for temporary data; None if it has little space or is mounted noexec."""
    if not os.access(MEMORY_FOLDER, os.W_OK) or shutil.disk_usage(MEMORY_FOLDER).free < ROOMY_BYTES:
        return None
    return None if os.statvfs(MEMORY_FOLDER).f_flag & os.ST_NOEXEC else MEMORY_FOLDER
