"""`python -m facecloud_client` is the `facecloud` command."""

import sys

from facecloud_client.cli import main

sys.exit(main())
