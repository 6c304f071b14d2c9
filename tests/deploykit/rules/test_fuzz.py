"""Mutated files of every kind end in findings with places inside the file; fixes can be made and end."""

from __future__ import annotations

import os
import time
from dataclasses import replace

from deploykit.commands.lint import mend
from deploykit.rules import Settings, Sources
from deploykit.sources.text import Text
from tests.deploykit.rules.fuzz import TODAY, judge, mutations

COUNT = int(os.environ.get("DEPLOYKIT_FUZZ", "600"))
LONGEST_SECONDS = 20.0
"""Far above a second: it tells an endless loop from a busy machine."""


def test_mutated_files_end_in_findings_inside_the_file() -> None:
    for number, (path, text) in enumerate(mutations(COUNT)):
        start = time.process_time()
        try:
            outcome = judge(path, text)
        except Exception as error:
            raise AssertionError(f"mutation {number} of {path}: {error!r}\n{text!r}") from error
        assert time.process_time() - start < LONGEST_SECONDS, (number, path)
        lines = Text(path, text)
        for finding in outcome.findings:
            for place in (finding.place, *(each.place for each in finding.related)):
                assert place.path == path
                assert 1 <= place.line <= len(lines.starts), (number, finding)
                assert (place.line, place.column) <= (place.end_line, place.end_column), (number, finding)
                assert place.column <= len(lines.line(place.line)) + 2, (number, finding)


def test_fixes_of_mutated_files_come_to_an_end_and_are_made_once() -> None:
    for number, (path, text) in enumerate(mutations(COUNT // 2, seed=11)):
        profiles = (path,) if "profiles/" in path and path.endswith((".yaml", ".yml")) else ()
        sources = Sources({path: text}, profiles, frozenset([path]), today=TODAY)
        outcome = judge(path, text)
        if not any(finding.fix for finding in outcome.findings):
            continue
        mended, after, _ = mend(sources, outcome, Settings(), unsafe=False)
        again, _, fixed = mend(replace(mended), after, Settings(), unsafe=False)
        assert fixed == 0 or again.texts == mended.texts, (number, path, text)
