"""A daemon with a mishap that a platform does not see: `python -m tests.verify.mishap hang | fall`.

`hang`: its loop stands still for ever after its first turns, and its heart goes on beating. `fall`: it dies a few beats
after it was started, again and again.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from runtime.daemon import ScheduleDaemon

HEALTHY_TURNS = 3
LIVES_SECONDS = 3.0


def _hang() -> None:
    turn: Any = ScheduleDaemon._turn
    turns = 0

    def hanging(self: ScheduleDaemon) -> Any:
        nonlocal turns
        turns += 1
        while turns > HEALTHY_TURNS:
            time.sleep(1)
        return turn(self)

    ScheduleDaemon._turn = hanging  # type: ignore[method-assign]


def _fall() -> None:
    timer = threading.Timer(LIVES_SECONDS, os._exit, (1,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    {"hang": _hang, "fall": _fall}[sys.argv[1]]()
    from runtime.cli import main

    sys.exit(main(["daemon"]))
