from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import deploykit
from deploykit.sources.pattern import pattern


def late_patterns() -> Iterator[tuple[str, object]]:
    """Every pattern that a module of deploykit keeps, those in its tables too."""
    late = type(pattern(""))
    for module in pkgutil.walk_packages(deploykit.__path__, "deploykit."):
        if module.name.endswith("__main__"):
            continue
        waiting = [(module.name, value) for value in vars(importlib.import_module(module.name)).values()]
        while waiting:
            name, value = waiting.pop()
            if isinstance(value, late):
                yield name, value
            elif isinstance(value, tuple):
                waiting.extend((name, each) for each in value)
            elif isinstance(value, dict):
                waiting.extend((name, each) for each in value.values() if isinstance(each, late))


def test_a_pattern_does_what_a_compiled_one_does() -> None:
    word = pattern("[a-z]+", re.IGNORECASE)
    assert word.match("Ab1")
    assert word.findall("a B2c") == ["a", "B", "c"]
    assert word.sub("-", "a1B") == "-1-"
    assert (word.pattern, word.groups) == ("[a-z]+", 0)


def test_a_pattern_is_compiled_when_it_is_first_used() -> None:
    broken = pattern("(")
    with pytest.raises(re.error):
        broken.search("text")


def test_every_pattern_of_the_product_compiles() -> None:
    found = list(late_patterns())
    assert len(found) > 80
    for name, each in found:
        assert re.compile(each.pattern, each.flags & ~re.UNICODE), name  # type: ignore[attr-defined]
