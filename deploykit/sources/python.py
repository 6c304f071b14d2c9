"""The declaring calls of a Python file, by its syntax tree: nothing is executed."""

from __future__ import annotations

import ast
import warnings

from deploykit.findings import Place
from deploykit.sources import code
from deploykit.sources.code import Call
from deploykit.sources.text import Text
from deploykit.sources.yaml import MAX_DEPTH, Mapping, Node, Scalar, Sequence, YamlError

_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def calls(path: str, content: str) -> list[Call]:
    """See ``deploykit.sources.code.read``."""
    text = Text(path, content.removeprefix("\ufeff"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.text)
    except SyntaxError as error:
        line = error.lineno or 1
        column = max(error.offset or 1, 1)
        raise YamlError(
            f"this is no Python: {error.msg}", Place(path, line, column, line, column + 1), "correct the syntax here"
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise YamlError("this is no Python that can be read", Place(path), "correct the file") from None
    try:
        return _Reader(text, tree).calls()
    except RecursionError:
        raise YamlError("the file is nested too deeply", Place(path), "simplify it") from None


class _Reader:
    def __init__(self, text: Text, tree: ast.Module) -> None:
        self.text = text
        self.ascii = text.text.isascii()
        self.bound: dict[str, ast.expr | None] = {}
        self.found: list[tuple[ast.Call, bool]] = []
        self.budget = code.MAX_VALUES
        self.changed: set[str] = set()
        self.walk(tree, False)
        # What is changed after it was bound cannot be read where it was bound.
        self.bound.update(dict.fromkeys(self.changed))

    def walk(self, tree: ast.AST, looping: bool) -> None:
        waiting: list[tuple[ast.AST, bool]] = [(tree, looping)]
        while waiting:
            node, inside = waiting.pop()
            inside = inside or isinstance(node, _LOOPS)
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                name = node.targets[0].id
                # Bound twice, or in a loop: nobody can tell which value holds.
                self.bound[name] = None if name in self.bound or inside else node.value
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                name = node.target.id
                self.bound[name] = None if name in self.bound or inside else node.value
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                self.bound[node.target.id] = None
            elif isinstance(node, ast.Call) and _called(node) in code.RESOURCES:
                self.found.append((node, inside))
            self.changed.update(_changed(node))
            waiting.extend((child, inside) for child in ast.iter_child_nodes(node))

    def calls(self) -> list[Call]:
        found = sorted(self.found, key=lambda each: (each[0].lineno, each[0].col_offset))
        return [self.call(node, looping) for node, looping in found]

    def place(self, node: ast.AST) -> Place:
        line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0)
        end_line = getattr(node, "end_lineno", line) or line
        end_column = getattr(node, "end_col_offset", column) or column
        if not self.ascii:
            # The syntax tree counts bytes; people and editors count characters.
            column = len(self.text.line(line).encode()[:column].decode(errors="ignore"))
            end_column = len(self.text.line(end_line).encode()[:end_column].decode(errors="ignore"))
        return Place(self.text.path, line, column + 1, end_line, end_column + 1)

    def call(self, node: ast.Call, looping: bool) -> Call:
        first = node.args[0] if node.args else None
        label = self.value(first) if first is not None else None
        named = label.text if isinstance(label, Scalar) and label.tag is None and isinstance(label.value, str) else None
        options = self.keywords(node)
        for extra in node.args[1:]:
            value = self.value(extra)
            if isinstance(value, Mapping):
                options = code.mapping([(e.key, e.value) for e in (*value.entries, *options.entries)], options.place)
        return Call(
            _called(node) or "",
            named,
            label.place if label is not None and named else self.place(node.func),
            options,
            complete=options.get(code.SPREAD) is None,
            repeated=looping,
        )

    def keywords(self, node: ast.Call) -> Mapping:
        pairs: list[tuple[Scalar, Node]] = []
        for keyword in node.keywords:
            value = self.value(keyword.value)
            if keyword.arg is None:
                pairs.extend(self.spread(value))
                continue
            start = self.place(keyword)
            key = Place(start.path, start.line, start.column, start.line, start.column + len(keyword.arg))
            pairs.append((Scalar(keyword.arg, keyword.arg, True, None, key), value))
        return code.mapping(pairs, self.place(node))

    def spread(self, value: Node) -> list[tuple[Scalar, Node]]:
        if isinstance(value, Mapping):
            return [(entry.key, entry.value) for entry in value.entries]
        return [(Scalar(code.SPREAD, code.SPREAD, True, None, value.place), value)]

    def value(self, node: ast.expr, depth: int = 0) -> Node:
        place = self.place(node)
        self.budget -= 1
        if depth > MAX_DEPTH or self.budget < 0:
            return code.unknown(place)
        if isinstance(node, ast.Constant):
            return self.constant(node, place)
        if isinstance(node, ast.Dict):
            pairs: list[tuple[Scalar, Node]] = []
            for key, item in zip(node.keys, node.values, strict=True):
                value = self.value(item, depth + 1)
                if key is None:
                    pairs.extend(self.spread(value))
                    continue
                named = self.value(key, depth + 1)
                if isinstance(named, Scalar) and named.tag is None:
                    pairs.append((named, value))
                else:
                    pairs.append((Scalar(code.SPREAD, code.SPREAD, True, None, named.place), value))
            return code.mapping(pairs, place)
        if isinstance(node, ast.List | ast.Tuple):
            return Sequence(tuple(self.value(item, depth + 1) for item in node.elts), True, place)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
            number = node.operand.value
            if isinstance(number, int | float) and not isinstance(number, bool):
                return Scalar(-number, f"-{number}", True, None, place)
        if isinstance(node, ast.BinOp):
            return self.joined(node, place, depth)
        if isinstance(node, ast.JoinedStr):
            return self.formatted(node, place, depth)
        if isinstance(node, ast.Name):
            bound = self.bound.get(node.id)
            return self.value(bound, depth + 1) if bound is not None else code.unknown(place)
        if isinstance(node, ast.Call):
            return self.called(node, place, depth)
        return self.environment(node, place)

    def joined(self, node: ast.BinOp, place: Place, depth: int) -> Node:
        """``60 * 1000`` as a number, ``COMMON | {…}`` as a map."""
        left, right = self.value(node.left, depth + 1), self.value(node.right, depth + 1)
        if isinstance(node.op, ast.BitOr) and (isinstance(left, Mapping) or isinstance(right, Mapping)):
            pairs = [*self.spread(left), *self.spread(right)]
            return code.mapping(pairs, right.place if isinstance(right, Mapping) else place)
        if isinstance(node.op, ast.Mult) and isinstance(left, Scalar) and isinstance(right, Scalar):
            first, second = left.value, right.value
            if type(first) is int and type(second) is int and max(abs(first), abs(second)) < 10**15:
                return Scalar(first * second, str(first * second), True, None, place)
        return code.unknown(place)

    def formatted(self, node: ast.JoinedStr, place: Place, depth: int) -> Node:
        """An f-string whose holes are constants, as its text."""
        parts = []
        for each in node.values:
            if isinstance(each, ast.FormattedValue) and each.conversion == -1 and each.format_spec is None:
                part = _as_text(self.value(each.value, depth + 1))
            else:
                part = self.value(each, depth + 1) if isinstance(each, ast.Constant) else code.unknown(place)
            if not isinstance(part, Scalar) or not isinstance(part.value, str):
                return code.unknown(place)
            parts.append(part.value)
        return code.text("".join(parts), place, "")

    def constant(self, node: ast.Constant, place: Place) -> Scalar:
        value = node.value
        if isinstance(value, str):
            start = self.text.offset(place.line, place.column)
            mark = self.text.text[start : start + 1]
            # Raw, byte and triple-quoted strings have a prefix or more marks: their parts cannot be pointed at.
            triple = self.text.text.startswith(mark * 3, start) if mark in ("'", '"') else True
            return code.text(value, place, "" if triple else mark)
        if isinstance(value, bool | int | float) or value is None:
            shown = str(value) if not isinstance(value, int) or abs(value) < 10**50 else "0"
            return Scalar(value, shown, True, None, place)
        return code.unknown(place)

    def called(self, node: ast.Call, place: Place, depth: int) -> Node:
        name = _called(node)
        arguments = [self.value(each, depth + 1) for each in node.args]
        if name == "preserve":
            return Scalar(None, "", True, "!preserve", place)
        if name == "str" and len(arguments) == 1 and not node.keywords:
            return _as_text(arguments[0])
        if name == "dict" and len(node.args) < 2:
            pairs = [pair for argument in arguments for pair in self.spread(argument)]
            keywords = self.keywords(node)
            return code.mapping([*pairs, *((e.key, e.value) for e in keywords.entries)], place)
        if name in ("github", "image") and arguments and isinstance(arguments[0], Scalar) and arguments[0].tag is None:
            return code.source("repo" if name == "github" else "image", arguments[0], self.keywords(node), place)
        if name == "ref" and len(node.args) == 2 and isinstance(arguments[1], Scalar) and arguments[1].tag is None:
            resource = self.resource(node.args[0])
            if resource:
                return code.reference(resource, arguments[1].text, place)
        return code.unknown(place)

    def environment(self, node: ast.expr, place: Place) -> Node:
        """``db.env.MYSQL_URL`` and ``db.env["MYSQL_URL"]``."""
        inner: ast.expr | None = None
        variable: str | None = None
        if isinstance(node, ast.Attribute):
            inner, variable = node.value, node.attr
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            inner, variable = node.value, str(node.slice.value)
        if variable and isinstance(inner, ast.Attribute) and inner.attr == "env":
            resource = self.resource(inner.value)
            if resource:
                return code.reference(resource, variable, place)
        return code.unknown(place)

    def resource(self, node: ast.expr) -> str | None:
        """The name of the resource that an expression stands for."""
        if isinstance(node, ast.Name):
            bound = self.bound.get(node.id)
            node = bound if bound is not None else node
        if isinstance(node, ast.Call) and _called(node) in code.RESOURCES and node.args:
            label = node.args[0]
            if isinstance(label, ast.Constant) and isinstance(label.value, str):
                return label.value
        return None


def _called(node: ast.Call) -> str | None:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else None


def _as_text(value: Node) -> Node:
    """A literal as ``str()`` writes it; it stands where the literal stands."""
    if not isinstance(value, Scalar) or value.tag is not None or value.value is None:
        return value if isinstance(value, Scalar) and value.tag else code.unknown(value.place)
    text = str(value.value)
    return value if isinstance(value.value, str) else Scalar(text, text, True, None, value.place)


_CHANGING = frozenset(["update", "pop", "popitem", "setdefault", "clear", "append", "extend", "insert", "remove"])


def _changed(node: ast.AST) -> list[str]:
    """The names whose values a statement changes: ``X["A"] = …``, ``del X["A"]``, ``X.update(…)``."""
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = [each.value for each in node.targets if isinstance(each, ast.Subscript | ast.Attribute)]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
        targets = [node.func.value]
    return [each.id for each in targets if isinstance(each, ast.Name)]
