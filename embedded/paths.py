"""Where a run keeps its files: everything under var/, short socket paths wherever var/ is."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
SOCKET_PATH_LIMIT = 100  # the kernel takes 107 bytes
MEMORY_FOLDER, ROOMY_BYTES = Path("/dev/shm"), 4_000_000_000  # noqa: S108 - folders of our own are made in it
LONGEST_SOCKET_NAME = "/.s.PGSQL.5432.lock"


@dataclass(frozen=True)
class Paths:
    """The folders of one instance. Two instances need two `var`s."""

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
        """Mails, as files, where EMAIL_URL is not set (common/mail_backends.py)."""
        return self.var / "mail"

    @property
    def static(self) -> Path:
        """Empty where nothing was collected; whitenoise wants it to be there."""
        return self.var / "static"

    @property
    def models(self) -> Path:
        return Path(os.environ.get("MODELS_DIR") or self.var / "models")

    @property
    def sockets(self) -> Path:
        """var/run; where that path is too long for a socket, a folder of ours among the temporary files."""
        near = self.var / "run"
        if len(os.fsencode(near)) + len(LONGEST_SOCKET_NAME) <= SOCKET_PATH_LIMIT:
            return near
        digest = sha256(os.fsencode(self.var)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"facecloud-{os.getuid()}-{digest}"

    def make(self) -> None:
        """Create the folders, for their owner alone: keys, logs and mails are in them, and whoever reaches
        the sockets is the database's superuser. Folders of an earlier version are closed as well.
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
    """The instance of this checkout, or of FACECLOUD_VAR_DIR."""
    return Paths(Path(os.environ.get("FACECLOUD_VAR_DIR") or REPOSITORY / "var").resolve())


def memory_folder() -> Path | None:
    """Where throw-away data is made and deleted fastest; None where it is small, or takes no programs."""
    if not os.access(MEMORY_FOLDER, os.W_OK) or shutil.disk_usage(MEMORY_FOLDER).free < ROOMY_BYTES:
        return None
    return None if os.statvfs(MEMORY_FOLDER).f_flag & os.ST_NOEXEC else MEMORY_FOLDER
