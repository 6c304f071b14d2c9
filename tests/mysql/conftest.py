"""Tests that only make sense on a real server run on each kind there is."""

from __future__ import annotations

from tests.mysql.fixtures import db, rival, server, server_url

__all__ = ["db", "rival", "server", "url"]

url = server_url
