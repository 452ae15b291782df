"""Run the `facecloud` command as `python -m facecloud_client`."""

import sys

from facecloud_client.command.cli import main

sys.exit(main())
