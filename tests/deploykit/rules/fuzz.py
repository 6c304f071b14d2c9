"""Mutated files of every kind: lint answers with findings, never with a traceback, and soon.

DEPLOYKIT_FUZZ=10000 python -m pytest -q tests/deploykit/rules/test_fuzz.py     # that many files
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date

from deploykit.rules import CATALOGUE, Outcome, Sources, lint
from deploykit.rules._rule import PROFILE, WORKER

TODAY = date(2026, 11, 1)

_TOKENS = (
    *(
        "{",
        "}",
        "[",
        "]",
        ":",
        "- ",
        "&a ",
        "*a",
        "<<: *a",
        "!secret",
        "!!python/x ",
        "|",
        ">",
        "'",
        '"',
        "`",
        "#",
        "\t",
    ),
    *("\n", "\r", "\r\n", "\0", "\ufeff", "\u2028", "\x85", "é", "🚂", "\u00a0", "\\", "\\\n", "${{", "}}", "${{A.B}}"),
    *(
        "null",
        "true",
        "yes",
        "0",
        "-1",
        "1e999",
        "0x",
        "9" * 400,
        "${{MySQL.MYSQL_URL}}",
        "@",
        "%",
        "//",
        "/*",
        "=",
        "&&",
    ),
    *("extends: base\n", "\n---\n", "deploykit: ignore[DK101]", "# deploykit: ignore[", "SCHEDULE_DAEMON_ENABLED"),
)


def seeds() -> dict[str, str]:
    """One sound file of each kind, and every example of every rule."""
    found = {"profiles/example.yaml": PROFILE + WORKER}
    for rule in CATALOGUE.values():
        for number, example in enumerate((*rule.bad, *rule.good)):
            for path, text in example.texts().items():
                found[f"{rule.code}-{number}/{path}"] = text
    return found


def mutations(count: int, seed: int = 7) -> Iterator[tuple[str, str]]:
    """``count`` mutated files, the same ones for the same seed, kinds in turn."""
    dice = random.Random(seed)
    by_kind: dict[str, list[tuple[str, str]]] = {}
    for path, text in seeds().items():
        by_kind.setdefault(kind(path), []).append((path, text))
    kinds = sorted(by_kind)
    for number in range(count):
        path, text = dice.choice(by_kind[kinds[number % len(kinds)]])
        for _ in range(dice.randint(1, 6)):
            text = mutate(text, dice)
        yield path.split("/", 1)[1] if path.startswith("DK") else path, text


def kind(path: str) -> str:
    """The sort of file, so that each gets its turn."""
    name = path.rsplit("/", 1)[-1]
    return name if "." not in name else name.rsplit(".", 1)[-1]


def mutate(text: str, dice: random.Random) -> str:
    """One small change: cut, double, insert, swap or truncate."""
    at = dice.randrange(len(text) + 1)
    end = min(len(text), at + dice.randint(1, 30))
    match dice.randrange(7):
        case 0:
            return text[:at] + text[end:]
        case 1:
            return text[:at] + text[at:end] * dice.randint(2, 5) + text[end:]
        case 2 | 3:
            return text[:at] + dice.choice(_TOKENS) + text[at:]
        case 4:
            return text[:at] + dice.choice(_TOKENS) + text[end:]
        case 5:
            lines = text.splitlines(keepends=True)
            dice.shuffle(lines)
            return "".join(lines)
        case _:
            return text[:at]


def judge(path: str, text: str) -> Outcome:
    """Lint one file."""
    profiles = (path,) if "profiles/" in path and path.endswith((".yaml", ".yml")) else ()
    return lint(Sources({path: text}, profiles, frozenset([path]), today=TODAY))
