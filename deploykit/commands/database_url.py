"""The URL of the application's database, as an operator gives it."""

from __future__ import annotations

import runtime.db
from deploykit.errors import ConfigurationError


def checked(url: str | None) -> str | None:
    """``url``, None for an empty one. Raises ConfigurationError, which never repeats it, for what can be no URL.

    A database that is away is another matter: an apply goes on without its lock then. What nobody can ever open is a
    mistake, and going on would drop the lock that was asked for.
    """
    problem = runtime.db.check_url(url) if url else None
    if problem:
        raise ConfigurationError(
            f"the database's URL {problem.removeprefix('DATABASE_URL ')}",
            where="--database-url or DEPLOYKIT_DATABASE_URL",
            hint="write mysql://user:password@host:3306/database or sqlite:///absolute/path.db",
        )
    return url or None
