"""prisma/schema.prisma says what the tables are."""

from __future__ import annotations

import re

import pytest

from runtime.db import Database
from tests.interop.node import REPOSITORY

SCHEMA = (REPOSITORY / "prisma" / "schema.prisma").read_text(encoding="utf-8")
TYPES = {
    ("String", False): ("varchar",),
    ("String", True): ("text",),
    ("Int", False): ("int",),
    ("BigInt", False): ("bigint",),
    ("Boolean", False): ("tinyint",),
    ("DateTime", False): ("datetime",),
    ("Json", False): ("json", "longtext"),
    ("JobStatus", False): ("enum",),
    ("WorkerStatus", False): ("enum",),
}


def models() -> dict[str, dict[str, tuple[str, bool, bool]]]:
    """Model → column → (Prisma type, nullable, written out as text)."""
    found = {}
    for name, body in re.findall(r"^model (\w+) \{\n(.*?)^\}", SCHEMA, re.DOTALL | re.MULTILINE):
        fields = re.findall(r"^  (\w+) +(\w+)(\??)(.*)$", body, re.MULTILINE)
        found[name] = {column: (kind, bool(null), "@db.Text" in rest) for column, kind, null, rest in fields}
    return found


@pytest.mark.parametrize("table", models())
def test_every_column_is_the_same_on_both_sides(db: Database, table: str) -> None:
    rows = db.rows(
        "SELECT column_name AS name, data_type AS type, is_nullable AS nullable, datetime_precision AS fraction "
        "FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = %(table)s",
        {"table": table},
    )
    columns = {row["name"]: row for row in rows}
    declared = models()[table]
    assert columns.keys() == declared.keys()
    for name, (kind, nullable, text) in declared.items():
        assert columns[name]["type"].lower() in TYPES[kind, text], name
        assert (columns[name]["nullable"] == "YES") == nullable, name
        assert kind != "DateTime" or columns[name]["fraction"] == 3, name


@pytest.mark.parametrize(
    ("enum", "table"), [("JobStatus", "JobRun"), ("WorkerStatus", "WorkerInstance")], ids=["jobs", "processes"]
)
def test_every_status_is_known_to_prisma(db: Database, enum: str, table: str) -> None:
    [body] = re.findall(rf"^enum {enum} \{{\n(.*?)^\}}", SCHEMA, re.DOTALL | re.MULTILINE)
    [row] = db.rows(
        "SELECT column_type AS type FROM information_schema.columns "
        "WHERE table_schema = DATABASE() AND table_name = %(table)s AND column_name = 'status'",
        {"table": table},
    )
    assert re.findall(r"'(\w+)'", row["type"]) == body.split()


def test_every_table_of_the_runtime_has_a_model(db: Database) -> None:
    rows = db.rows("SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()", {})
    assert {row["name"] for row in rows} - {"Effect"} == set(models())


@pytest.mark.parametrize("table", models())
def test_docs_explain_every_column(table: str) -> None:
    page = (REPOSITORY / "docs" / "runtime.md").read_text(encoding="utf-8")
    explained = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    missing = [column for column in models()[table] if f"`{column}`" not in explained]
    assert missing == []
