"""``deploykit-railway-runner``: an engine for ``railway config plan --runner``. One request in, one answer out.

stdout carries the JSON response and nothing else; progress goes to stderr. Neither ever carries the token.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

from deploykit.cli.apply import interruptible
from deploykit.commands.runner import Request, Response, failure, parse, respond, to_json
from deploykit.errors import DeploykitError, Exit


def main() -> None:
    """Answer one request and exit: 0 when the response says ok, else 1."""
    signal.signal(signal.SIGTERM, _leave)
    request: Request | None = None
    try:
        request = parse("" if sys.stdin.isatty() else sys.stdin.buffer.read().decode("utf-8", "replace"))
        response = _answered(request)
    except DeploykitError as error:
        response = _failure(request, error.message, error.where, error.hint)
    except KeyboardInterrupt:
        response = _failure(request, "interrupted", None, "run the same command again: it goes on from what is there")
    except OSError as error:
        response = _failure(request, error.strerror or str(error), error.filename, "check the file's rights")
    except Exception as error:
        response = _failure(request, f"internal error: {type(error).__name__}", None, "report this")
    sys.stdout.buffer.write((to_json(response, request) + "\n").encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()
    sys.exit(Exit.OK if response["ok"] else Exit.FAILED)


def _answered(request: Request) -> Response:
    started = time.monotonic()

    def report(text: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - started:5.1f}s] {text}\n")

    if request.command != "apply":
        return respond(request, report=report, stopping=lambda: False)
    with interruptible() as asked:
        return respond(request, report=report, stopping=asked)


def _failure(request: Request | None, message: str, where: str | None, hint: str | None) -> Response:
    command, file = (request.command, request.file or "") if request else ("", "")
    return failure(message, command=command, file=file, where=where, hint=hint or "")


def _leave(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
