"""Every error deploykit raises on purpose, and the exit status each one ends with.

    DeploykitError                 1   the command failed
    ├── ConfigurationError         3   invalid or unknown profile, or configuration
    ├── AuthenticationError        4   token missing, wrong, or without rights
    ├── StalePlanError             5   what was reviewed is not what is there
    ├── LockedError                6   another apply is running
    ├── PartialApplyError          7   applied in part; running the command again resumes
    ├── BudgetError               10   cost above the budget
    ├── UsageError                64   unknown option, command or rule code
    └── UnreachableError          75   rate-limited, or Railway or the database unreachable
        └── RateLimitedError      75

Raised where the facts are; turned into words in ``cli.py`` only.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of every command, in one table."""

    OK = 0
    FAILED = 1
    CHANGES_PENDING = 2
    CONFIGURATION = 3
    AUTHENTICATION = 4
    STALE_PLAN = 5
    LOCKED = 6
    PARTIAL = 7
    UNHEALTHY = 8
    INCONCLUSIVE = 9
    OVER_BUDGET = 10
    USAGE = 64
    INTERNAL = 70
    UNREACHABLE = 75
    INTERRUPTED = 130


class DeploykitError(Exception):
    """Something a person can act on: what happened, where, and what to do next.

    ``where`` names a file (``profiles/x.yaml:4:7``), a service or an endpoint. ``hint`` is the next step.
    Neither ever holds a secret.
    """

    exit_code: Exit = Exit.FAILED

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint


class ConfigurationError(DeploykitError):
    """A profile or a setting is invalid or unknown."""

    exit_code = Exit.CONFIGURATION


class AuthenticationError(DeploykitError):
    """Railway refuses the token, or there is none."""

    exit_code = Exit.AUTHENTICATION


class StalePlanError(DeploykitError):
    """The plan that was reviewed no longer fits what is live, the profile, or this version."""

    exit_code = Exit.STALE_PLAN


class LockedError(DeploykitError):
    """Another operator is applying."""

    exit_code = Exit.LOCKED


class PartialApplyError(DeploykitError):
    """Some steps were done and some were not; running the same command again resumes."""

    exit_code = Exit.PARTIAL


class BudgetError(DeploykitError):
    """The estimated cost is above the profile's budget."""

    exit_code = Exit.OVER_BUDGET


class UsageError(DeploykitError):
    """An unknown option, command or rule code."""

    exit_code = Exit.USAGE


class UnreachableError(DeploykitError):
    """Railway or the database cannot be reached, or answers that it cannot serve now."""

    exit_code = Exit.UNREACHABLE


class RateLimitedError(UnreachableError):
    """Railway throttles us; ``retry_after_seconds`` is what it asked for, when it did."""

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retry_after_seconds = retry_after_seconds
