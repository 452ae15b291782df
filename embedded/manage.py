"""bin/manage: run manage.py against the running services, or start the embedded ones for the command."""

import os
import subprocess
import sys
import time
from pathlib import Path

from embedded import preflight
from embedded.environment import KEYS, load_dotenv, secret_values
from embedded.paths import REPOSITORY, here
from embedded.services.managed_process import ServiceError
from embedded.services.pair import Services

NOTE = "bin/manage"


def main(arguments: list[str]) -> int:
    """Run manage.py with the arguments and return its exit status."""
    os.umask(0o077)  # files that a command writes are readable by their owner only
    load_dotenv()
    paths = here()
    try:
        preflight.make_folders(paths)
        wait_for_another(paths.lock)
        services = Services.of(paths)
        environment = {**os.environ, **services.application, **secret_values(paths.secrets, KEYS)}
        environment |= services.owner if arguments[:1] == ["migrate"] else {"DATABASE_OWNER_URL": ""}
        command = [sys.executable, str(REPOSITORY / "manage.py"), *arguments]
        if preflight.is_held(paths.lock):
            return subprocess.call(command, env=environment)
        with preflight.only_one(paths.lock, NOTE), services.running():
            return subprocess.call(command, env=environment)
    except (preflight.Refusal, ServiceError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def wait_for_another(lock: Path) -> None:
    """Wait while another bin/manage runs: its services stop with it, so they cannot be shared."""
    is_announced = False
    while preflight.is_held(lock) and (note := lock.read_text()).endswith(NOTE):
        if not is_announced:
            sys.stderr.write(f"Waiting for {note} ...\n")
            is_announced = True
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
