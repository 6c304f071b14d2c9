"""The databases that the runtime's tests run on: SQLite always, MariaDB and MySQL where a server can be had."""

from __future__ import annotations

from tests.mysql.fixtures import db, rival, url

__all__ = ["db", "rival", "url"]
