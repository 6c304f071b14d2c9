"""The runtime with a wall clock that is CHAOS_SHIFT_SECONDS off: `python -m tests.chaos.shifted worker|daemon`.

Intervals are measured with the monotonic clock, which no administrator can set; so that one stays right.
"""

from __future__ import annotations

import os
import sys
import time

SHIFT_SECONDS = float(os.environ["CHAOS_SHIFT_SECONDS"])


def _shift() -> None:
    real, real_ns = time.time, time.time_ns
    time.time = lambda: real() + SHIFT_SECONDS
    time.time_ns = lambda: real_ns() + int(SHIFT_SECONDS * 1e9)


if __name__ == "__main__":
    _shift()
    from runtime.cli import main

    sys.exit(main(sys.argv[1:]))
