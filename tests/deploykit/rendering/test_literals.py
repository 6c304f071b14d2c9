"""Whatever text a profile holds, each language's own reader gives it back, and nothing breaks out of its place."""

from __future__ import annotations

import ast
import io
import re
import tomllib
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import dotenv
import pytest
import yaml as pyyaml
from hypothesis import example, given, strategies as st

from deploykit.rendering import literals
from deploykit.sources.yaml import Scalar, parse
from tests.deploykit.rendering.profiles import NASTY, text

_plain = st.recursive(
    st.one_of(text(), st.integers(-(2**53), 2**53), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text(), inner, max_size=3)),
    max_leaves=6,
)


@given(_plain)
def test_python_reads_back_what_was_written(value: Any) -> None:
    assert ast.literal_eval(literals.python(value)) == value


@given(_plain)
def test_toml_reads_back_what_was_written(value: Any) -> None:
    assert tomllib.loads(f"key = {literals.toml(value)}") == {"key": value}


@given(_plain)
def test_yaml_reads_back_what_was_written(value: Any) -> None:
    assert pyyaml.safe_load(f"key: {literals.yaml(value)}") == {"key": value}


@given(text())
def test_our_own_yaml_reader_reads_back_what_was_written(value: str) -> None:
    root: Any = parse("x.yaml", f"key: {literals.yaml(value)}\n")
    node = root.get("key")
    assert isinstance(node, Scalar)
    assert node.value == value


@given(text(max_size=60))
@example('it\'s \\ both "quotes"\nand lines\r')
def test_a_dotenv_reader_reads_back_what_was_written(value: str) -> None:
    lines = io.StringIO(f"BEFORE=1\nNAME={literals.env(value)}\nAFTER=2\n")
    assert dotenv.dotenv_values(stream=lines, interpolate=False) == {"BEFORE": "1", "NAME": value, "AFTER": "2"}


@given(text())
def test_xml_reads_back_all_that_xml_can_hold(value: str) -> None:
    root = ElementTree.fromstring(f'<a b="x">{literals.xml(value)}</a>')
    assert len(root) == 0
    expected = literals._XML_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", value)
    # XML readers turn every kind of line end into one.
    assert (root.text or "") == re.sub("\r\n?", "\n", expected)


@given(text())
def test_a_mermaid_label_holds_nothing_but_letters_blanks_and_entity_codes(value: str) -> None:
    label = literals.mermaid(value)
    assert re.fullmatch(r"(?:[A-Za-z0-9 .,/_-]|#\d+;)*", label)
    decoded = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), label)
    assert decoded == literals.comment(" ".join(value.split()))


@given(text())
def test_a_code_span_ends_where_it_should(value: str) -> None:
    span = literals.code(value)
    fence = re.match("`+", span)
    assert fence is not None
    inside = span[len(fence[0]) : -len(fence[0])]
    runs = re.findall("`+", inside)
    assert "\n" not in span
    assert fence[0] not in runs
    assert span.endswith(fence[0])
    assert not inside.startswith("`")
    assert not inside.endswith("`")


@given(text())
def test_no_bar_in_a_table_cell_ends_it(value: str) -> None:
    assert not re.search(r"(?<!\\)\|", literals.cell(value))


@given(text())
def test_a_fenced_block_ends_where_it_should(value: str) -> None:
    first, *inside, last = literals.fenced(value, "sh").split("\n")
    assert first == f"{last}sh"
    assert all(last not in line for line in inside)


@given(text())
def test_a_comment_stays_on_its_line(value: str) -> None:
    shown = literals.comment(value)
    assert len(shown.splitlines()) <= 1
    assert "*/" not in shown


@given(text())
def test_prose_holds_no_html_and_no_link(value: str) -> None:
    shown = literals.markdown(value)
    assert not re.search(r"(?<!\\)(?:\\\\)*[<\[`|]", shown)


@pytest.mark.parametrize("write", [literals.python, literals.typescript, literals.toml, literals.yaml])
@pytest.mark.parametrize("value", NASTY)
def test_what_cannot_be_seen_is_escaped(write: Callable[[Any], str], value: str) -> None:
    assert write(value).isprintable()


def test_the_prototype_of_an_object_cannot_be_set() -> None:
    assert literals.typescript({"__proto__": 1, "a-b": 2, "ok": 3}) == '{ ["__proto__"]: 1, "a-b": 2, ok: 3 }'
