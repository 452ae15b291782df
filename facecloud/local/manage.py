"""bin/manage: manage.py against the services that run, or else against ours for the time of the command."""

import os
import subprocess
import sys

from facecloud.local import preflight
from facecloud.local.environment import KEYS, load_dotenv, secret_values
from facecloud.local.places import REPOSITORY, here
from facecloud.local.process import ServiceError
from facecloud.local.services import Services


def main(arguments: list[str]) -> int:
    """The command's exit status."""
    load_dotenv()
    places = here()
    try:
        preflight.make_folders(places)
        services = Services.of(places)
        environment = {**os.environ, **services.environment, **secret_values(places.secrets, KEYS)}
        command = [sys.executable, str(REPOSITORY / "manage.py"), *arguments]
        if preflight.is_held(places.lock):
            return subprocess.call(command, env=environment)
        with preflight.only_one(places.lock, "bin/manage"), services.running():
            return subprocess.call(command, env=environment)
    except (preflight.Refusal, ServiceError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
