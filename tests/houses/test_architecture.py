"""The map of the house names every room, and every path it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "guides").glob("*.md")))
TOPS = ("deploykit/", "runtime/", "templates/", "docs/", "tests/", "profiles/")


def test_every_room_is_on_the_map() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rooms = [path.name for path in (ROOT / "deploykit").iterdir() if (path / "__init__.py").is_file()]
    assert rooms
    assert [room for room in rooms if f"`{room}/`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_and_every_path_of_a_page_leads_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    lost = [link for link in links if not (page.parent / link).exists()]
    named = [
        code for code in re.findall(r"`([^`\s]+)`", text) if code.startswith(TOPS) and not re.search(r"[<*]", code)
    ]
    lost += [path for path in named if not (ROOT / path).exists()]
    assert lost == []
