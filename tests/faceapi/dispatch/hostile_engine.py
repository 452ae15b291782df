"""An engine for `celery worker --include` that a picture with special last bytes can kill or hang.

No picture is known that does this to the real engine. Here the process ends as in a native crash, or the
thread hangs as in a native function that never returns.
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
