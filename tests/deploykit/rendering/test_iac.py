"""Evaluated by Railway's own SDKs, both rendered files give the resource graph that apply works with."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from deploykit.planning.graph import graph
from deploykit.profile.schema import Profile
from deploykit.rendering.render import render
from tests.deploykit.rendering.evaluators import comparable, graph_of, official, python_definition
from tests.deploykit.rendering.profiles import REAL, profiles, real

PYTHON, TYPESCRIPT = ".railway/railway.py", ".railway/railway.ts"


@pytest.mark.parametrize("path", REAL, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_the_python_file_of_a_real_profile_gives_its_graph(path: Path) -> None:
    profile = real(path)
    assert graph_of(python_definition(render(profile)[PYTHON])) == comparable(graph(profile))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(profiles())
def test_the_python_file_of_any_profile_gives_its_graph(profile: Profile) -> None:
    assert graph_of(python_definition(render(profile)[PYTHON])) == comparable(graph(profile))


@pytest.mark.node
def test_the_official_engine_reads_the_graph_of_every_real_profile_from_both_files(tmp_path: Path) -> None:
    _hold_against_the_engine(tmp_path, [real(path) for path in REAL])


@pytest.mark.node
@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
        HealthCheck.function_scoped_fixture,
    ],
)
@given(st.lists(profiles(), min_size=12, max_size=12))
def test_the_official_engine_reads_the_graph_of_any_profile_from_both_files(
    tmp_path: Path, wanted: list[Profile]
) -> None:
    _hold_against_the_engine(tmp_path, wanted)


def _hold_against_the_engine(folder: Path, wanted: list[Profile]) -> None:
    rendered = [render(profile) for profile in wanted]
    programs = [files[TYPESCRIPT] for files in rendered]
    definitions = [python_definition(files[PYTHON]) for files in rendered]
    graphs = official(folder, programs, copy.deepcopy(definitions))
    expected = [comparable(graph(profile)) for profile in wanted]
    assert graphs[: len(wanted)] == expected
    assert graphs[len(wanted) :] == expected
