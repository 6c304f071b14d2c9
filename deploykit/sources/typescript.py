"""The declaring calls of a TypeScript or JavaScript file, by its tokens: nothing is executed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploykit.findings import Place
from deploykit.sources import code
from deploykit.sources.code import Call
from deploykit.sources.pattern import pattern
from deploykit.sources.text import Text
from deploykit.sources.yaml import MAX_DEPTH, Mapping, Node, Scalar, Sequence, YamlError

_TOKEN = pattern(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]+)?(?:[eE][-+]?[0-9]+)?)n?)
    |(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)
    |(?P<mark>=>|\.\.\.|\?\.|.)""",
    re.VERBOSE | re.DOTALL,
)
_REGEX = pattern(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_BEFORE_AN_OPERAND = frozenset(
    ["return", "typeof", "case", "in", "of", "do", "else", "void", "delete", "throw", "await"]
)
_ESCAPE = pattern(r"\\(u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_HOLE = pattern(r"(?<!\\)\$\{(?!\{)")
_NAMED = pattern(r"(?<!\\)\$\{([A-Za-z_$][A-Za-z0-9_$]*)\}")
_JOINING = frozenset(["as", "satisfies", "in", "instanceof"])
_OPEN, _CLOSE = "([{", ")]}"
_LOOPS = frozenset({"map", "flatMap", "forEach"})


@dataclass(frozen=True, slots=True)
class Token:
    """A word, literal or mark with its offsets."""

    kind: str
    text: str
    start: int
    end: int


def tokens(text: Text) -> list[Token]:
    """The tokens of a file. Raises YamlError for a template or comment that never ends."""
    content = text.text
    found: list[Token] = []
    at = 0
    while at < len(content):
        if content[at] == "`":
            end = _template_end(content, at)
            if end < 0:
                raise YamlError("the template is never closed", text.place(at, at + 1), "close it with `")
            found.append(Token("template", content[at:end], at, end))
            at = end
            continue
        if content.startswith("/*", at) and content.find("*/", at + 2) < 0:
            raise YamlError("the comment is never closed", text.place(at, at + 2), "close it with */")
        match = _TOKEN.match(content, at)
        assert match
        if match["mark"] == "/" and _operand_follows(found):
            regex = _REGEX.match(content, at)
            if regex:
                found.append(Token("regex", regex.group(), at, regex.end()))
                at = regex.end()
                continue
        if match.lastgroup != "blank":
            found.append(Token(str(match.lastgroup), match.group(), at, match.end()))
        at = match.end()
    return found


def _operand_follows(found: list[Token]) -> bool:
    """Whether a value is expected behind these tokens: then a slash begins a regular expression, else it divides."""
    if not found:
        return True
    last = found[-1]
    if last.kind == "mark":
        return last.text not in _CLOSE
    return last.text in _BEFORE_AN_OPERAND


def _template_end(content: str, at: int) -> int:
    """Behind the closing backtick; templates inside ``${}`` are stepped over."""
    depth = [0]
    at += 1
    while at < len(content):
        character = content[at]
        if character == "\\":
            at += 2
            continue
        if depth[-1] == 0:
            if character == "`":
                depth.pop()
                if not depth:
                    return at + 1
            elif content.startswith("${", at):
                depth[-1] = 1
                at += 2
                continue
        elif character == "`":
            depth.append(0)
        elif character == "{":
            depth[-1] += 1
        elif character == "}":
            depth[-1] -= 1
        at += 1
    return -1


def calls(path: str, content: str) -> list[Call]:
    """See ``deploykit.sources.code.read``."""
    text = Text(path, content)
    try:
        return _Reader(text, tokens(text)).calls()
    except RecursionError:
        raise YamlError("the file is nested too deeply", Place(path), "simplify it") from None


def unescaped(raw: str) -> str:
    """The value of a string literal without its quotes."""

    def one(match: re.Match[str]) -> str:
        escape = match[1]
        if escape[0] in "ux" and len(escape) > 1:
            number = int(escape[1:].strip("{}"), 16)
            return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
        return _SIMPLE.get(escape, escape)

    return _ESCAPE.sub(one, raw) if "\\" in raw else raw


class _Reader:
    def __init__(self, text: Text, found: list[Token]) -> None:
        self.text = text
        self.tokens = found
        self.partner = self.partners()
        self.bound: dict[str, int | None] = {}
        self.budget = code.MAX_VALUES
        self.bind()

    def partners(self) -> dict[int, int]:
        """The index of the closing bracket for every opening one. Raises YamlError when they do not match."""
        partner: dict[int, int] = {}
        waiting: list[int] = []
        for index, token in enumerate(self.tokens):
            if token.kind != "mark":
                continue
            if token.text in _OPEN:
                waiting.append(index)
            elif token.text in _CLOSE:
                if not waiting or _OPEN.index(self.tokens[waiting[-1]].text) != _CLOSE.index(token.text):
                    raise YamlError(f"`{token.text}` closes nothing", self.place(index, index), "check the brackets")
                partner[waiting.pop()] = index
        if waiting:
            raise YamlError("the bracket is never closed", self.place(waiting[-1], waiting[-1]), "close it")
        return partner

    def bind(self) -> None:
        """Names bound once with const, let or var, and where their value begins."""
        for index, token in enumerate(self.tokens[:-3]):
            if token.text not in ("const", "let", "var") or token.kind != "name":
                continue
            name = self.tokens[index + 1]
            at = index + 2
            if self.tokens[at].text == ":":  # a type stands between
                while at < len(self.tokens) and self.tokens[at].text not in ("=", ";"):
                    at = self.partner.get(at, at) + 1
            if name.kind == "name" and at < len(self.tokens) and self.tokens[at].text == "=":
                self.bound[name.text] = None if name.text in self.bound or token.text != "const" else at + 1
        # What is changed after it was bound cannot be read where it was bound.
        self.bound.update(dict.fromkeys(self.changed()))

    def changed(self) -> set[str]:
        """Names whose values are changed: ``x.a = …``, ``x["a"] = …``, ``delete x.a``, ``Object.assign(x, …)``."""
        found: set[str] = set()
        for index, token in enumerate(self.tokens[:-3]):
            texts = [each.text for each in self.tokens[index + 1 : index + 4]]
            if token.text == "Object" and texts == [".", "assign", "("] and index + 4 < len(self.tokens):
                found.add(self.tokens[index + 4].text)
            if token.kind != "name" or (index and self.tokens[index - 1].text == "."):
                continue
            behind = index + 3 if texts[0] == "." else self.partner.get(index + 1, -2) + 1 if texts[0] == "[" else -1
            if not 0 <= behind < len(self.tokens) - 1:
                continue
            assigned = self.tokens[behind].text == "=" and self.tokens[behind + 1].text != "="
            if assigned or (index and self.tokens[index - 1].text == "delete"):
                found.add(token.text)
        return found

    def place(self, first: int, last: int) -> Place:
        return self.text.place(self.tokens[first].start, self.tokens[last].end)

    def calls(self) -> list[Call]:
        loops = self.loops()
        found = []
        for index, token in enumerate(self.tokens[:-1]):
            if token.kind != "name" or token.text not in code.RESOURCES:
                continue
            opening = self.opening(index)
            if opening is None or (index and self.tokens[index - 1].text in ("function", "new")):
                continue
            behind = self.partner[opening] + 1
            if behind < len(self.tokens) and self.tokens[behind].text == "{":
                continue  # a method's head: it declares the name and calls nothing
            looping = any(start < index < end for start, end in loops)
            found.append(self.call(index, opening, looping))
        return found

    def opening(self, index: int) -> int | None:
        """The bracket that makes the name at ``index`` a call; types between ``<`` and ``>`` may stand before it."""
        at = index + 1
        if self.tokens[at].text == "<":
            while at < len(self.tokens) and self.tokens[at].text not in (">", "(", ";"):
                at += 1
            at += 1
        return at if at < len(self.tokens) and self.tokens[at].text == "(" else None

    def loops(self) -> list[tuple[int, int]]:
        """Stretches of tokens that run several times, or not as often as they are written."""
        found = []
        for index, token in enumerate(self.tokens[:-1]):
            following = self.tokens[index + 1].text
            if token.text in _LOOPS and following == "(" and index and self.tokens[index - 1].text in (".", "?."):
                found.append((index, self.partner[index + 1]))
            elif token.text in ("for", "while") and following == "(":
                close = self.partner[index + 1]
                body = close + 1
                found.append((index, self.partner.get(body, body)))
        return found

    def call(self, index: int, opening: int, looping: bool) -> Call:
        arguments = self.arguments(opening)
        label = arguments[0] if arguments else None
        named = label.text if isinstance(label, Scalar) and label.tag is None and isinstance(label.value, str) else None
        options: Mapping | None = code.mapping([], self.place(index, index))
        for argument in arguments[1:]:
            options = argument if isinstance(argument, Mapping) else None
        return Call(
            self.tokens[index].text,
            named,
            label.place if label is not None and named else self.place(index, index),
            options,
            complete=options is not None and options.get(code.SPREAD) is None,
            repeated=looping,
        )

    def arguments(self, opening: int, depth: int = 0) -> list[Node]:
        close = self.partner[opening]
        found: list[Node] = []
        at = opening + 1
        while at < close and self.budget >= 0:
            value, at = self.value(at, close, depth + 1)
            found.append(value)
            at += 1  # the comma
        return found

    def value(self, at: int, limit: int, depth: int = 0) -> tuple[Node, int]:
        """The expression at ``at`` and the index behind it: a comma, or ``limit``."""
        end = self.expression_end(at, limit)
        last = max(end - 1, at)
        place = self.place(at, min(last, len(self.tokens) - 1))
        self.budget -= 1
        if end <= at or depth > MAX_DEPTH or self.budget < 0:
            return code.unknown(place), end
        while (
            end - at >= 3 and self.tokens[end - 1].kind == "name" and self.tokens[end - 2].text in ("as", "satisfies")
        ):
            end -= 2
        return self.simple(at, end, depth), self.expression_end(at, limit)

    def expression_end(self, at: int, limit: int) -> int:
        while at < limit:
            token = self.tokens[at]
            if token.kind == "mark" and token.text in (",", ";"):
                return at
            at = self.partner.get(at, at) + 1
        return limit

    def simple(self, at: int, end: int, depth: int) -> Node:
        token, place = self.tokens[at], self.place(at, end - 1)
        if end - at == 1:
            return self.literal(token, place, depth)
        if token.text == "-" and end - at == 2 and self.tokens[at + 1].kind == "number":
            number = self.literal(self.tokens[at + 1], place, depth)
            if isinstance(number, Scalar) and isinstance(number.value, int | float):
                return Scalar(-number.value, f"-{number.text}", True, None, place)
        if token.kind == "mark" and self.partner.get(at) == end - 1:
            if token.text == "{":
                return self.object(at, depth)
            if token.text == "[":
                return Sequence(tuple(self.arguments(at, depth)), True, place)
            if token.text == "(":
                return self.value(at + 1, end - 1, depth + 1)[0]
        if token.kind == "name" and self.tokens[at + 1].text == "." and self.partner.get(at + 3) == end - 1:
            at += 2  # `railway.github("owner/app")`: the name behind the name space
        if self.tokens[at].kind == "name" and self.partner.get(at + 1) == end - 1 and self.tokens[at + 1].text == "(":
            return self.called(at, place, depth)
        if [each.text for each in self.tokens[end - 4 : end]] == [".", "toString", "(", ")"] and end - at > 4:
            return _as_text(self.simple(at, end - 4, depth + 1))
        if all(each.kind == "number" or each.text == "*" for each in self.tokens[at:end]):
            return self.product(at, end, place, depth)
        return self.member(at, end, place)

    def product(self, at: int, end: int, place: Place, depth: int) -> Node:
        """``60 * 60 * 1000`` as the number that it is."""
        factors = [self.literal(self.tokens[each], place, depth) for each in range(at, end, 2)]
        result = 1
        for each in factors:
            if not isinstance(each, Scalar) or type(each.value) is not int or abs(result) > 10**20:
                return code.unknown(place)
            result *= each.value
        return Scalar(result, str(result), True, None, place)

    def literal(self, token: Token, place: Place, depth: int) -> Node:
        if token.kind == "string":
            return code.text(unescaped(token.text[1:-1]), place, token.text[0])
        if token.kind == "template":
            inner = self.filled(token.text[1:-1], place, depth)
            return code.unknown(place, "`") if inner is None else code.text(unescaped(inner), place, "`")
        if token.kind == "number":
            digits = token.text.replace("_", "").rstrip("n")
            if len(digits) > 300:
                return code.unknown(place)
            if digits[:2] in ("0x", "0X"):
                return Scalar(int(digits, 16), token.text, True, None, place)
            whole = digits.isdigit()
            return Scalar(int(digits) if whole else float(digits), digits, True, None, place)
        if token.text in ("true", "false"):
            return Scalar(token.text == "true", token.text, True, None, place)
        if token.text in ("null", "undefined"):
            return Scalar(None, token.text, True, None, place)
        bound = self.bound.get(token.text) if token.kind == "name" else None
        if bound is not None and bound < len(self.tokens) and depth < MAX_DEPTH:
            return self.value(bound, self.statement_end(bound), depth + 1)[0]
        return code.unknown(place)

    def filled(self, inner: str, place: Place, depth: int) -> str | None:
        """A template's text with the constants it names; None when it holds anything else."""
        for name in set(_NAMED.findall(inner)):
            token = Token("name", name, 0, 0)
            value = _as_text(self.literal(token, place, depth + 1)) if depth < MAX_DEPTH else None
            if not isinstance(value, Scalar) or value.tag is not None or not isinstance(value.value, str):
                return None
            inner = inner.replace("${" + name + "}", value.value.replace("\\", "\\\\"))
        return None if _HOLE.search(inner) else inner

    def statement_end(self, at: int) -> int:
        """Where a statement that begins at ``at`` ends: at a semicolon, or where the next line begins a new one."""
        start = at
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.text == ";" and token.kind == "mark":
                return at
            if (
                at > start
                and token.kind == "name"
                and token.text in ("const", "let", "var", "export", "return", "function")
            ):
                return at
            if at > start and token.kind == "mark" and token.text in _CLOSE:
                return at
            if at > start and token.kind == "name" and self.begins_anew(at):
                return at
            at = self.partner.get(at, at) + 1
        return len(self.tokens)

    def begins_anew(self, at: int) -> bool:
        """Whether the name at ``at`` begins a statement because the line before it ends with a value."""
        before, token = self.tokens[at - 1], self.tokens[at]
        ended = before.kind in ("string", "number", "template", "name") or before.text in _CLOSE
        return ended and token.text not in _JOINING and "\n" in self.text.text[before.end : token.start]

    def object(self, opening: int, depth: int) -> Mapping:
        close = self.partner[opening]
        pairs: list[tuple[Scalar, Node]] = []
        at = opening + 1
        while at < close:
            end = self.expression_end(at, close)
            if end > at:
                pairs.extend(self.property(at, end, depth))
            at = end + 1
        return code.mapping(pairs, self.place(opening, close))

    def property(self, at: int, end: int, depth: int) -> list[tuple[Scalar, Node]]:
        token = self.tokens[at]
        place = self.place(at, at)
        if token.text == "..." and end > at + 1:
            value = self.simple(at + 1, end, depth + 1)
            if isinstance(value, Mapping):
                return [(entry.key, entry.value) for entry in value.entries]
            return [(Scalar(code.SPREAD, code.SPREAD, True, None, place), value)]
        named = token.kind in ("name", "number") or token.kind == "string"
        name = unescaped(token.text[1:-1]) if token.kind == "string" else token.text
        key = Scalar(name, name, token.kind != "string", None, place)
        if named and end == at + 1:
            return [(key, self.literal(token, place, depth + 1) if token.kind == "name" else code.unknown(place))]
        if named and self.tokens[at + 1].text == ":" and end > at + 2:
            return [(key, self.value(at + 2, end, depth + 1)[0])]
        if named and self.tokens[at + 1].text == "(":
            return [(key, code.unknown(place))]
        return [(Scalar(code.SPREAD, code.SPREAD, True, None, place), code.unknown(place))]

    def called(self, at: int, place: Place, depth: int) -> Node:
        name = self.tokens[at].text
        if name == "String" and self.tokens[at + 2 : at + 3]:
            arguments = self.arguments(at + 1, depth)
            return _as_text(arguments[0]) if len(arguments) == 1 else code.unknown(place)
        if name == "preserve":
            return Scalar(None, "", True, "!preserve", place)
        arguments = self.arguments(at + 1, depth)
        first = arguments[0] if arguments else None
        if name in ("github", "image") and isinstance(first, Scalar) and first.tag is None:
            more = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], Mapping) else None
            return code.source("repo" if name == "github" else "image", first, more, place)
        if name == "ref" and len(arguments) == 2 and isinstance(arguments[1], Scalar) and arguments[1].tag is None:
            resource = self.resource(at + 2)
            if resource:
                return code.reference(resource, arguments[1].text, place)
        return code.unknown(place)

    def member(self, at: int, end: int, place: Place) -> Node:
        """``db.env.MYSQL_URL`` and ``db.env["MYSQL_URL"]``."""
        words = self.tokens[at:end]
        texts = [word.text for word in words]
        if len(words) == 5 and texts[1:4:2] == [".", "."] and texts[2] == "env":
            resource = self.resource(at)
            return code.reference(resource, texts[4], place) if resource else code.unknown(place)
        if len(words) == 6 and texts[1:4] == [".", "env", "["] and words[4].kind == "string":
            resource = self.resource(at)
            return code.reference(resource, words[4].text[1:-1], place) if resource else code.unknown(place)
        return code.unknown(place)

    def resource(self, at: int) -> str | None:
        """The name of the resource that the name at ``at`` stands for."""
        bound = self.bound.get(self.tokens[at].text)
        if bound is None or bound + 2 >= len(self.tokens):
            return None
        if self.tokens[bound + 1].text == "." and bound + 4 < len(self.tokens):
            bound += 2
        if self.tokens[bound].text in code.RESOURCES and self.tokens[bound + 1].text == "(":
            label = self.tokens[bound + 2]
            return unescaped(label.text[1:-1]) if label.kind == "string" else None
        return None


def _as_text(value: Node) -> Node:
    """A literal as ``String()`` writes it; it stands where the literal stands."""
    if not isinstance(value, Scalar) or value.tag is not None or value.value is None:
        return value if isinstance(value, Scalar) and value.tag else code.unknown(value.place)
    if isinstance(value.value, str):
        return value
    return Scalar(value.text, value.text, value.plain, None, value.place, value.style)
