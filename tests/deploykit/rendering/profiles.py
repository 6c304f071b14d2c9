"""Profiles to render: the real ones, and random ones with every key and with text that wants to break out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from deploykit.profile.load import load
from deploykit.profile.schema import Profile

REPOSITORY = Path(__file__).resolve().parents[3]
REAL = sorted([*(REPOSITORY / "profiles").glob("*.yaml"), *(REPOSITORY / "examples").glob("*/profiles/*.yaml")])

NASTY = (
    "\"'`\\",
    'x"; import os; os._exit(1) #',
    "`${process.exit(1)}`",
    "*/ } ] ) \n export default 1; //",
    "'''\n\"\"\"",
    "{{ 7 * 7 }}{% raw %}{# x #}",
    "a: b # c\n- d",
    "=[x]\n[y]\r\nz = 1",
    "<script>alert(1)</script>&amp;]]>--><!--",
    "```\n# heading\n| a | b |\n[x](javascript:y)",
    "$HOME ${A:-b} $$ ${{ shared.X }}",
    "${{MySQL.MYSQL_URL}}",
    "mysql://u:p@h/${{MySQL.MYSQLDATABASE}}",
    '"] --> x; click x "javascript:y" %% end #quot;',
    "\u2028\u2029\u0085\ufeff\u202e\u200b\x7f\x1b[31m\t",
    "\U0001f600 \U000e0041 é ü ß 漢字",
    " leading and trailing ",
    "",
    "true",
    "0o17",
    "~",
    "null",
)


def real(path: Path) -> Profile:
    profile = load(path).profile
    assert profile is not None, path
    return profile


def text(min_size: int = 0, max_size: int = 30) -> st.SearchStrategy[str]:
    """Text that a file can hold: no NUL, no lone surrogate."""
    free = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=max_size)
    return st.one_of(free, st.sampled_from(NASTY)).filter(lambda value: len(value) >= min_size)


_service_names = st.one_of(
    st.sampled_from(["web", "class", "service", "main", "new", "my web.app", "3rd", "a_b", "a-b", "a b", "MySQL"]),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,31}\Z", fullmatch=True),
)
_variable_names = st.one_of(
    st.sampled_from(["__proto__", "constructor", "PORT", "SCHEDULE_DAEMON_ENABLED", "EMBEDDED_JOB_WORKER", "toString"]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}\Z", fullmatch=True),
)
_sources = st.one_of(
    st.fixed_dictionaries({"image": text(1)}),
    st.fixed_dictionaries(
        {"repo": st.sampled_from(["owner/app", 'o"/a`', "o'\\/${x}"])}, optional={"branch": text(1), "root": text(1)}
    ),
)
_paths = text().map(lambda tail: f"/{tail}")
_counts = st.one_of(st.integers(1, 50), st.dictionaries(text(), st.integers(1, 5), min_size=1, max_size=3))
_quantities = st.fixed_dictionaries(
    {}, optional={"memory_mb": st.integers(0, 10**6), "vcpu": st.floats(0, 100, allow_nan=False)}
)
_domains = st.lists(
    st.one_of(
        text(1),
        st.fixed_dictionaries({"domain": text(1)}, optional={"port": st.integers(1, 65535)}),
    ),
    max_size=2,
)
_values = st.one_of(
    text(),
    st.sampled_from(["true", "false", "${{web.PORT}}", "${{ MySQL.MYSQL_URL }}", "${{Other.THING}}", "${{OWN}}"]),
    st.just({"operator_variable": None}),
    st.just({"operator_variable": "FROM_OPERATOR"}),
)


def _service() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "role": st.sampled_from(["web", "daemon", "worker", "database", "other"]),
            "env": st.dictionaries(_variable_names, _values, max_size=6),
        },
        optional={
            "source": _sources,
            "start": text(1),
            "pre_deploy": text(1),
            "healthcheck": _paths,
            "healthcheck_timeout_seconds": st.integers(1, 86_400),
            "replicas": _counts,
            "restart": st.fixed_dictionaries(
                {"policy": st.sampled_from(["always", "on_failure", "never"])},
                optional={"max_retries": st.integers(0, 100)},
            ),
            "overlap_seconds": st.integers(0, 600),
            "draining_seconds": st.integers(0, 600),
            "sleep": st.booleans(),
            "cron": text(1),
            "volume": st.fixed_dictionaries({"mount": _paths}, optional={"size_mb": st.integers(1, 5000)}),
            "guard": st.sampled_from(["lease", "volume", "recreate", "none"]),
            "limits": _quantities,
            "domains": _domains,
            "autodeploy": st.sampled_from(["on_push", "after_ci", "off"]),
        },
    )


def _distinct(services: dict[str, Any]) -> bool:
    """Whether every service can have a folder of its name beside the other artefacts."""
    folded = [name.casefold() for name in services]
    return len(set(folded)) == len(folded) and not {"compose.yaml", "runbook.md", "railway.toml"} & set(folded)


def profiles() -> st.SearchStrategy[Profile]:
    """Random valid profiles; their names stay apart in every way that matters for files and addresses."""
    return st.fixed_dictionaries(
        {
            "version": st.just(1),
            "name": st.sampled_from(["pre-launch", "a--b", "x.y_z"]),
            "services": st.dictionaries(_service_names, _service(), min_size=1, max_size=4).filter(_distinct),
        },
        optional={
            "description": text(),
            "environment": text(1),
            "project": text(1),
            "database": st.fixed_dictionaries({"service": st.one_of(st.just("MySQL"), text(1))}),
        },
    ).map(Profile.model_validate)
