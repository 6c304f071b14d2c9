"""Finds SQL by name: `jobs.claim` is the query `-- :name claim` in runtime/sql/<dialect>/jobs.sql."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "sql"
_HEADER = re.compile(r"^-- :name (\w+)$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")


def find(dialect: str, name: str) -> str:
    """The text of a query, with its parameters in the style of the dialect's driver.

    Raises KeyError for a name that no file declares.
    """
    file, _, query = name.partition(".")
    return _load(dialect, file)[query]


@cache
def _load(dialect: str, file: str) -> dict[str, str]:
    parts = _HEADER.split((FOLDER / dialect / f"{file}.sql").read_text(encoding="utf-8"))
    return {name: _for_driver(dialect, _bare(body)) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def statements(script: str) -> list[str]:
    """The single statements of a migration. A statement ends with a semicolon at the end of a line."""
    return [part for part in (_bare(part) for part in re.split(r";\s*$", script, flags=re.MULTILINE)) if part]


def _bare(text: str) -> str:
    """The text without comments and without the last semicolon: every byte travels to the server on each call."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return "\n".join(line.rstrip() for line in lines).strip().rstrip(";")


def _for_driver(dialect: str, sql: str) -> str:
    if dialect == "mysql":
        return _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))
    for pattern, meaning in _SQLITE_SHORTHAND:
        sql = pattern.sub(meaning, sql)
    return sql


# SQLite has no type for times and no parameter for lists; these words keep its files readable beside MySQL's.
_SQLITE_SHORTHAND = (
    (re.compile(r"\{now\}"), r"strftime('%Y-%m-%d %H:%M:%f', 'now')"),
    (re.compile(r"\{now plus (:\w+)\}"), r"strftime('%Y-%m-%d %H:%M:%f', 'now', (\1 / 1000.0) || ' seconds')"),
    (re.compile(r"\{each (:\w+)\}"), r"(SELECT value FROM json_each(\1))"),
)
