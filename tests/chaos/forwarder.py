"""A tunnel as a command: `python -m tests.chaos.forwarder NEAR_PORT FAR_PORT`, what `ssh -N -L` is to a bastion."""

from __future__ import annotations

import signal
import sys

from tests.chaos.proxy import Proxy

if __name__ == "__main__":
    near, far = map(int, sys.argv[1:3])
    with Proxy(far, near_port=near):
        signal.pause()
