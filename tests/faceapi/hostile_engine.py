"""For `celery worker --include`: an engine that a picture can kill or hold up, by how its bytes end.

No picture is known that does this to the real one; here its process ends as a native crash would end it, and
its thread stays away as one in a native function that never returns.
"""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

from inference.worker import tasks

KILLS = b"#kills"
HANGS = b"#hangs"
TAKES_2_S = b"#takes 2 s"


def hostile(operation: Callable[..., Any]) -> Callable[..., Any]:
    def work(engine: Any, picture: bytes) -> Any:
        if picture.endswith(KILLS):
            os.kill(os.getpid(), signal.SIGKILL)
        if picture.endswith(HANGS):
            time.sleep(3600)
        if picture.endswith(TAKES_2_S):
            time.sleep(2)
        return operation(engine, picture)

    return work


for name, operation in tasks.OPERATIONS.items():
    tasks.OPERATIONS[name] = operation._replace(prepare=hostile(operation.prepare))
