"""The command line: words in, exit status out."""

from __future__ import annotations

import sys

from runtime import log, processes
from runtime.db import DatabaseError, Unreachable
from runtime.handlers import DeclarationError
from runtime.settings import EXIT_CONFIGURATION, Settings, SettingsError

EXIT_FAILED = 1
EXIT_UNREACHABLE = 75
EXIT_INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run one command; its exit status: 0 done, 1 failed, 3 configuration, 64 wrong usage, 75 database unreachable."""
    try:
        return _run(arguments)
    except SettingsError as error:
        return _say(EXIT_CONFIGURATION, f"{error.variable} {error.problem}", error.cure)
    except DeclarationError as error:
        return _say(EXIT_CONFIGURATION, str(error), "correct the declaration in JOBS_MODULE")
    except Unreachable as error:
        return _say(EXIT_UNREACHABLE, error.message, error.hint)
    except DatabaseError as error:
        return _say(EXIT_FAILED, error.message, error.hint)
    except OSError as error:
        return _say(EXIT_FAILED, str(error), "")
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(arguments: list[str]) -> int:
    # A process that runs for months does not carry the parser of the commands that run for a moment.
    process = processes.named(arguments)
    if process is None:
        from runtime import commands

        return commands.run(arguments)
    settings = Settings.from_env()
    log.configure(settings.log_format)
    process(settings)
    return 0


def _say(status: int, message: str, hint: str) -> int:
    sys.stderr.write(f"error: {message}\n" + (f"  hint: {hint}\n" if hint else ""))
    sys.stderr.flush()
    return status
