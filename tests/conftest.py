"""What holds for every test: a run that is told to end leaves no server behind."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    # `timeout` and a CI that gives up send SIGTERM, at which Python ends without a word to the fixtures. As Ctrl-C it
    # lets them stop the servers and processes they started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What runs in the background of a shell ignores Ctrl-C, and so would every process that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
