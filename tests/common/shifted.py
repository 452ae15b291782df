"""`python -m tests.common.shifted SECONDS MODULE …`: run a module with a shifted clock."""

import datetime
import runpy
import sys

import time_machine

if __name__ == "__main__":
    shift = datetime.timedelta(seconds=float(sys.argv[1]))
    time_machine.travel(datetime.datetime.now(datetime.UTC) + shift, tick=True).start()
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
