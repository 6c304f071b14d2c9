"""What a service's source reads and what stands in it hard-coded: JavaScript, TypeScript and Python, as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from deploykit.findings import Place
from deploykit.sources.pattern import pattern
from deploykit.sources.text import Text

EXTENSIONS = (".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".tsx", ".jsx", ".py")
_TEST = pattern(
    r"(?:^|/)(?:tests?|__tests__|spec|specs|e2e|fixtures|mocks|__mocks__)/|[._](?:test|spec)\.|(?:^|/)test_|_test\.py\Z"
)
_COMMENTS = pattern(r"""("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|//[^\n]*|/\*.*?\*/""", re.DOTALL)
_PYTHON_COMMENTS = pattern(
    r"""(\"\"\".*?\"\"\"|'''.*?'''|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|\#[^\n]*""", re.DOTALL
)
_WORD = pattern(r"[A-Za-z_][A-Za-z0-9_]{5,}")
_POLLER = pattern(r"worker|daemon|schedul|poll|queue|consumer|cron", re.IGNORECASE)
_NAMED = pattern(
    r"\b(?P<name>(?=\w{4,60}\b)[A-Za-z_]{0,50}?(?:poll|POLL|Poll)[A-Za-z_]{0,50}|(?:[A-Za-z]{1,40}_)?(?:JOB|WORKER|SCHEDULE|SCHEDULER|DAEMON|CHECK|TICK|IDLE)"
    r"_(?:INTERVAL|DELAY|SLEEP)(?:_MS|_SECONDS)?|(?:job|worker|schedule|daemon|check|tick|idle)(?:Interval|Delay)(?:Ms)?)\s*"
    r"(?::\s*(?:number|int|float|Final)\s*)?=\s*(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?(?:\s*\*\s*[0-9][0-9_]*)*)\s*(?=[;,\n\r#/)]|\Z)"
)
_TIMER = pattern(r"\bsetInterval\s*\(")
_WORK = pattern(
    r"\b(?:process|claim|poll|run|check|fetch|dispatch|tick)\w*(?:Job|Schedule|Queue|Next|Due|Batch|Task)\w*|\bpoll\w*\s*\(",
    re.IGNORECASE,
)
_BEAT = pattern(r"heartbeat|keepalive|keep_alive|metrics|cleanup|prune|reap", re.IGNORECASE)
_AGAIN = pattern(r"\bsetTimeout\(\s*\w*(?:loop|poll|tick|work|next)\w*\s*,\s*([0-9][0-9_]*)\s*\)", re.IGNORECASE)
_PAUSE = pattern(
    r"(?:\bawait\s+(?:sleep|delay|wait|setTimeout)\(\s*|\bsetTimeout\(\s*(?:resolve|res|r|done)\s*,\s*)([0-9][0-9_]*)\s*\)"
)
_ENDLESS = pattern(r"\bwhile\s*\(|\bfor\s*\(\s*;\s*;")
_PATIENCE = pattern(r"heartbeat|keepalive|retry|retries|backoff|shutdown|drain|reconnect", re.IGNORECASE)
_BROWSER = pattern(
    r"\.[jt]sx\Z|(?:^|/)(?:components|hooks|pages|views|client|frontend|public)/|(?:^|/)use[A-Z]\w*\.[jt]s\Z"
)
_LITERAL = pattern(r"\s*([0-9][0-9_]*(?:\s*\*\s*[0-9][0-9_]*)*)\s*\)")
_SLEEP = pattern(r"\b(?:time|asyncio|anyio)\.sleep\(\s*([0-9][0-9_]*(?:\.[0-9]+)?)\s*\)")
MAX_CHARACTERS = 2_000_000


class Interval(NamedTuple):
    """A number that stands where a variable should be read."""

    place: Place
    shown: str
    variable: str


def is_source(path: str) -> bool:
    """Whether a file is source that is read here; tests are not."""
    return path.endswith(EXTENSIONS) and not path.endswith(".d.ts") and not _TEST.search(path)


def without_comments(path: str, text: str) -> str:
    """The text with comments blanked out: every offset stays where it was."""
    pattern = _PYTHON_COMMENTS if path.endswith(".py") else _COMMENTS

    def blank(match: re.Match[str]) -> str:
        return match.group() if match[1] else re.sub(r"[^\n]", " ", match.group())

    return pattern.sub(blank, text[:MAX_CHARACTERS])


def words(texts: Mapping[str, str]) -> frozenset[str]:
    """Every word of the code, strings included and comments not: a variable that is read is among them.

    Destructuring and the keys of a validation schema count as readers; Python settings classes spell names small.
    """
    found: set[str] = set()
    for path, text in texts.items():
        if not is_source(path):
            continue
        for word in _WORD.findall(without_comments(path, text)):
            found.add(word)
            if path.endswith(".py"):
                found.add(word.upper())
    return frozenset(found)


_REQUIRED = (
    pattern(r"\bprocess\.env\.([A-Z][A-Z0-9_]+)(?:!|\s+as\s+string\b)"),
    pattern(r"\bprocess\.env\[['\"]([A-Z][A-Z0-9_]+)['\"]\](?:!|\s+as\s+string\b)"),
    pattern(r"\bif\s*\(\s*!\s*process\.env\.([A-Z][A-Z0-9_]+)\s*\)\s*\{?\s*(?:throw\b|[^}]{0,200}?process\.exit\()"),
    pattern(r"\bos\.environ\[['\"]([A-Z][A-Z0-9_]+)['\"]\](?!\s*=[^=])"),
)
_SCHEMA = pattern(r"\b([A-Z][A-Z0-9_]{3,})\s*:\s*z\s*\.")


def required(texts: Mapping[str, str]) -> dict[str, str]:
    """Variables that the code cannot do without, each with the file that says so: `X!`, a throw when it is missing,
    `os.environ["X"]`, a key of a zod schema without default.
    """
    found: dict[str, str] = {}
    for path in sorted(texts):
        if not is_source(path):
            continue
        code = without_comments(path, texts[path])
        for required in _REQUIRED:
            for match in required.finditer(code):
                found.setdefault(match[1], path)
        if "process.env" in code or "env" in path:
            for match in _SCHEMA.finditer(code):
                if not re.search(r"\b(?:optional|default|nullish|catch)\s*\(", _expression(code, match.end())):
                    found.setdefault(match[1], path)
    return found


def _expression(code: str, start: int) -> str:
    """The rest of an expression, up to the comma or bracket that ends it."""
    depth = 0
    for at in range(start, min(len(code), start + 5_000)):
        character = code[at]
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        if depth < 0 or (depth == 0 and character in ",;"):
            return code[start:at]
    return code[start : start + 5_000]


def hard_coded_intervals(path: str, text: str) -> Iterator[Interval]:
    """Poll intervals of worker and daemon loops that are numbers in the source."""
    if not is_source(path) or not (_POLLER.search(path) or _POLLER.search(text[:MAX_CHARACTERS])):
        return
    if _BROWSER.search(path):
        return  # a page that asks the server again is no worker
    code = without_comments(path, text)
    source = Text(path, text)
    variable = _variable(path, code)
    seen: set[int] = set()
    for match in _NAMED.finditer(code):
        if _BEAT.search(match["name"]) or re.search(r"max|min|limit|timeout|default", match["name"], re.IGNORECASE):
            continue
        if path.endswith(".py") and "BaseSettings" in code and match["name"].islower():
            continue  # a settings class: this is the default of the variable with that name
        if not re.search(r"interval|delay|sleep|every|period|_ms\b|_seconds\b|Ms\b", match["name"], re.IGNORECASE):
            continue
        seen.add(match.start("number"))
        yield _interval(source, match.start("number"), match.end("number"), variable)
    if not _POLLER.search(path.rsplit("/", 1)[-1]):
        return
    for start, end in _timers(code):
        if start not in seen:
            yield _interval(source, start, end, variable)
    if not path.endswith(".py"):
        for start, end in _pauses(code):
            yield _interval(source, start, end, variable)
    if path.endswith(".py") and re.search(r"\bwhile\b", code):
        for match in _SLEEP.finditer(code):
            if float(match[1].replace("_", "")) >= 1 and not _BEAT.search(
                code[max(match.start() - 200, 0) : match.start()]
            ):
                yield _interval(source, match.start(1), match.end(1), variable)


def _pauses(code: str) -> Iterable[tuple[int, int]]:
    """The literal period of a loop that calls itself again, or sleeps in an endless loop."""
    found = [*_AGAIN.finditer(code), *(_PAUSE.finditer(code) if _ENDLESS.search(code) else ())]
    for match in found:
        around = code[max(match.start() - 200, 0) : match.end()]
        if int(match[1].replace("_", "")) >= 1_000 and not _PATIENCE.search(around):
            yield match.span(1)


def _timers(code: str) -> Iterable[tuple[int, int]]:
    """The literal period of each ``setInterval`` whose callback works on jobs or schedules."""
    for match in _TIMER.finditer(code):
        end = _closing(code, match.end() - 1)
        if end < 0:
            continue
        body = code[match.end() : end]
        comma = body.rfind(",")
        period = _LITERAL.fullmatch(f"{body[comma + 1 :]})") if comma >= 0 else None
        if period and _WORK.search(body[:comma]) and not _BEAT.search(body[:comma]):
            start = match.end() + comma + 1 + period.start(1)
            yield start, start + len(period[1])


def _closing(code: str, opening: int) -> int:
    depth = 0
    for at in range(opening, min(len(code), opening + 20_000)):
        if code[at] == "(":
            depth += 1
        elif code[at] == ")":
            depth -= 1
            if depth == 0:
                return at
    return -1


def _variable(path: str, code: str) -> str:
    name = path.rsplit("/", 1)[-1].lower()
    daemon = re.search(r"daemon|schedul|cron", name) or (
        not re.search(r"worker|queue|consumer|job", name) and "chedule" in code
    )
    return "SCHEDULE_POLL_INTERVAL_MS" if daemon else "JOB_WORKER_POLL_INTERVAL_MS"


def _interval(source: Text, start: int, end: int, variable: str) -> Interval:
    return Interval(source.place(start, end), source.text[start:end].strip(), variable)
