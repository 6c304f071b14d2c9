"""Every place is exactly the token that was written: what stands there reads as the value again."""

from __future__ import annotations

import json as standard
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from deploykit.findings import Place
from deploykit.sources import dotenv, json, toml, yaml
from deploykit.sources.text import Text, apply, edit, overlap

# Beyond the first plane JSON escapes a character as a pair, which YAML does not know.
WORDS = st.text(st.characters(codec="utf-8", max_codepoint=0xD7FF), max_size=12)
VALUES = st.recursive(
    st.one_of(WORDS, st.booleans(), st.integers(-(10**12), 10**12), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=12,
)


def at(text: str, place: Place) -> str:
    """What stands at a place."""
    lines = Text(place.path, text)
    return text[lines.offset(place.line, place.column) : lines.offset(place.end_line, place.end_column)]


def scalars(node: yaml.Node) -> Iterator[yaml.Scalar]:
    return (each for each in yaml.walk(node) if isinstance(each, yaml.Scalar))


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(WORDS, VALUES, max_size=4), st.sampled_from([None, 2]))
def test_json_is_read_as_the_standard_library_reads_it_with_exact_places(value: Any, indent: int | None) -> None:
    text = standard.dumps(value, indent=indent, ensure_ascii=False)
    tree = json.parse("x.json", text)
    for scalar in scalars(tree):
        assert standard.loads(at(text, scalar.place)) == scalar.value
    assert plain(tree) == value


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(WORDS, VALUES, max_size=4), st.sampled_from([None, 2]))
def test_yaml_reads_json_with_exact_places(value: Any, indent: int | None) -> None:
    text = standard.dumps(value, indent=indent)
    tree = yaml.parse("x.yaml", text)
    assert tree is not None
    for scalar in scalars(tree):
        assert standard.loads(at(text, scalar.place)) == scalar.value


def plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.Mapping):
        return {entry.key.text: plain(entry.value) for entry in node.entries}
    if isinstance(node, yaml.Sequence):
        return [plain(item) for item in node.items]
    return node.value


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a: 30000\n", "30000"),
        ("a: &x 30000\nb: *x\n", "30000"),
        ('a: &x   "quoted"\n', '"quoted"'),
        ("a: !secret NAME\n", "!secret NAME"),
        ("a: plain words   # said\n", "plain words"),
        ("a: 'it''s'\r\n", "'it''s'"),
        ("{a: 1}\n", "1"),
        ("é: 'ü' # 🚂\n", "'ü'"),
    ],
)
def test_a_yaml_value_stands_where_it_is_written_without_its_anchor(text: str, written: str) -> None:
    tree = yaml.parse("x.yaml", text)
    assert isinstance(tree, yaml.Mapping)
    assert at(text, tree.entries[0].value.place) == written


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("12:30:00", "12:30:00"),
        ("30_000", "30_000"),
        ("0o27", 23),
        ("01069", 1069),
        ("1.10", 1.1),
        ("true", True),
        ("~", None),
        ("0x1F", 31),
        (".inf", float("inf")),
    ],
)
def test_plain_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    assert yaml.resolve(text) == value


TOML = """\
# top
name = "app"
"quoted key" = 'literal'
dotted.key = 1_000
[deploy]
startCommand = "node \\"x\\".js"   # why
list = [1, "two", { three = 3 }]
[deploy.multiRegionConfig.us-west2]
numReplicas = 2
[[array]]
when = 2026-12-01
text = \"\"\"
several
lines\"\"\"
"""


def test_toml_is_read_as_the_standard_library_reads_it_with_exact_places() -> None:
    tree = toml.parse("x.toml", TOML)
    wanted = tomllib.loads(TOML)
    wanted["array"][0]["when"] = "2026-12-01"
    assert plain(tree) == wanted
    written = {at(TOML, scalar.place) for scalar in scalars(tree)}
    assert {'"app"', "'literal'", "1_000", '"node \\"x\\".js"', "2", "2026-12-01", "us-west2"} <= written


@pytest.mark.parametrize(
    ("line", "key", "value", "raw"),
    [
        ("A=b", "A", "b", "b"),
        ("A = b", "A", "b", "b"),
        ("export A='b c'", "A", "b c", "'b c'"),
        ('A="b # c"', "A", "b # c", '"b # c"'),
        ("A=b # c", "A", "b", "b"),
        ("A=b#c", "A", "b#c", "b#c"),
        ("A=", "A", "", ""),
        ("A=b=c", "A", "b=c", "b=c"),
        ("A=${{MySQL.MYSQL_URL}}", "A", "${{MySQL.MYSQL_URL}}", "${{MySQL.MYSQL_URL}}"),
    ],
)
def test_a_dotenv_line_is_read_with_exact_places(line: str, key: str, value: str, raw: str) -> None:
    text = f"# first\n{line}\nLAST=1\n"
    found = dotenv.parse(".env", text)
    first = found.assignments[0]
    assert (first.key, first.value) == (key, value)
    assert at(text, first.key_place) == key
    assert at(text, first.value_place) == raw
    assert found.broken == ()


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_dotenv_file_is_never_a_traceback(text: str) -> None:
    found = dotenv.parse(".env", text)
    for each in found.assignments:
        assert at(text, each.key_place) == each.key
        assert at(text, each.value_place) == each.raw


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ab\n\r"), max_size=30), st.data())
def test_offsets_and_places_are_each_others_way_back(text: str, data: st.DataObject) -> None:
    lines = Text("x", text)
    offset = data.draw(st.integers(0, len(text)))
    assert lines.offset(*lines.position(offset)) == offset


def test_edits_are_made_together_and_touch_nothing_else() -> None:
    text = "one two three\n"
    edits = [edit(Place("x", 1, 5, 1, 8), "2"), edit(Place("x", 1, 1, 1, 4), "1"), edit(Place("x", 1, 9, 1, 9), "and ")]
    assert apply(text, edits) == "1 2 and three\n"


def test_edits_that_share_text_overlap() -> None:
    whole, part, next_to = (edit(Place("x", 1, *span), "") for span in ((1, 1, 8), (3, 1, 5), (8, 1, 9)))
    assert overlap(whole, part)
    assert not overlap(whole, next_to)
