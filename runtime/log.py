"""One line per event, written at once: readable for people, or JSON for a log service (LOG_FORMAT=json)."""

from __future__ import annotations

import json
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any

_lock = threading.Lock()
_json = False


def configure(log_format: str) -> None:
    global _json
    _json = log_format == "json"


def info(message: str, **facts: Any) -> None:
    _write("info", message, facts)


def warning(message: str, **facts: Any) -> None:
    _write("warn", message, facts)


def error(message: str, **facts: Any) -> None:
    _write("error", message, facts)


def exception(message: str, failure: BaseException) -> None:
    """An error of our own or of a job, with its traceback."""
    trace = "".join(traceback.format_exception(failure)).rstrip()
    if _json:
        _write("error", message, {"trace": trace})
    else:
        _write("error", f"{message}\n{trace}", {})


def _write(level: str, message: str, facts: dict[str, Any]) -> None:
    line = _as_json(level, message, facts) if _json else _as_text(message, facts)
    # Railway colours by stream: only what needs a person goes to stderr.
    stream = sys.stderr if level == "error" else sys.stdout
    with _lock:
        try:
            stream.write(line + "\n")
            stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads any more; a job runner must not die of its log


def _as_text(message: str, facts: dict[str, Any]) -> str:
    return " ".join([message, *(f"{name}={value}" for name, value in facts.items() if value is not None)])


def _as_json(level: str, message: str, facts: dict[str, Any]) -> str:
    event = {"timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "message": message}
    return json.dumps(event | facts, ensure_ascii=False, default=str)
