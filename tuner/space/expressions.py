"""The small expression language of search space files: bounds, conditions and rules.

Numbers, strings, `true`, `false`, names, `+ - * / // %`, comparisons, `and or not`, parentheses,
and the functions `min`, `max`, `round`. Python's own parser reads it; nothing is ever executed as
Python: the tree is walked, and whatever is not in this list is refused.

The name of a part's parameter has a dot: `encoder.instance_count`. One that is not made of words
stands in backticks: `` `text-encoder.instance_count` ``.
"""

import ast
import keyword
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tuner.errors import SpaceError

Value = bool | int | float | str


def value_text(value: Value | None) -> str:
    """A value as YAML and servers write it: `true`, not `True`."""
    return str(value).lower() if isinstance(value, bool | None) else str(value)


_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[float, float], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {"min": min, "max": max, "round": round}
_CONSTANTS: dict[str, Value] = {"true": True, "false": False}
_QUOTED = re.compile(r"`[^`]+`")
# Characters of an expression,
_LONGEST = 500
# and operators inside each other: far below what would exhaust the stack.
_DEEPEST = 50


@dataclass(frozen=True)
class Expression:
    """A parsed expression; `names` are what it refers to."""

    text: str
    names: frozenset[str] = field(repr=False)  # a set has another order in every process

    @classmethod
    def parse(cls, text: str) -> "Expression":
        """Read `text`.

        Raises:
            SpaceError: It is not in the language.
        """
        tree = _tree(text)
        _check(tree, text)
        functions = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        names = {
            node.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and id(node) not in functions
        }
        return cls(text, frozenset(names - set(_CONSTANTS)))

    def evaluate(self, values: Mapping[str, Value]) -> Value:
        """The value under `values`.

        Raises:
            SpaceError: A name has no value, or the values do not fit the operators.
        """
        if missing := self.names - set(values):
            raise SpaceError(
                f"`{self.text}` refers to `{min(missing)}`, which is not known here",
                hint="known: " + ", ".join(f"`{name}`" for name in sorted(values)),
            )
        try:
            return _evaluate(_tree(self.text), {**_CONSTANTS, **values})
        except (TypeError, ValueError, ArithmeticError) as error:
            raise SpaceError(f"`{self.text}` cannot be worked out: {error}") from None

    def renamed(self, names: Mapping[str, str]) -> "Expression":
        """The same of other names, each in the place of the one that it is under in `names`."""
        return Expression.parse(ast.unparse(_Renamed(names).visit(_parsed(self.text))))


def written(name: str) -> str:
    """How an expression writes `name`: in backticks, if it is not made of words."""
    first, *further = name.split(".")
    words = all(w.isidentifier() and not keyword.iskeyword(w) for w in (first, *further))
    is_plain = name.isascii() and words and not any(w.startswith("__") for w in further)
    return name if is_plain else f"`{name}`"


def is_name(text: str) -> bool:
    """Whether an expression can refer to something that is called `text`, without a dot."""
    try:
        return "." not in text and Expression.parse(text).names == {text}
    except SpaceError:
        return False


@lru_cache(maxsize=256)  # a search works the same few rules out again and again
def _tree(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise SpaceError(f"an expression has at most {_LONGEST} characters, but got {len(text)}")
    return _parsed(text)


def _parsed(text: str) -> ast.expr:
    """The tree of `text`, in which a name is one node, whatever it is made of."""
    source = text.strip()
    # What stands for a name in backticks is as long in bytes: the places of all nodes stay.
    plain = _QUOTED.sub(lambda quoted: "_" * len(quoted[0].encode()), source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Python still reads `1and 2`, and warns; we refuse it
            return _with_names(ast.parse(plain, mode="eval").body, source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SpaceError(
            f"`{text}` is not an expression", hint="for example: `instance_count <= 2 * cores`"
        ) from None


def _with_names(tree: ast.expr, source: str) -> ast.expr:
    """`tree` with one name for `part.parameter`, and for what is in backticks in `source`."""
    whole = ast.Expression(tree)
    for node in ast.walk(whole):  # not by recursion: it is not known yet how deep it is
        for field_name, value in ast.iter_fields(node):
            if isinstance(value, list):
                value[:] = [_as_name(each, source) for each in value]
            else:
                setattr(node, field_name, _as_name(value, source))
    return whole.body


def _as_name(node: Any, source: str) -> Any:
    """A name in place of `node`, if it is one that Python does not read as one."""
    words: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute) and not inner.attr.startswith("__"):
        words.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name):
        return node
    said = ast.get_source_segment(source, inner) or ""
    first = said.strip("`") if said.startswith("`") else inner.id
    return _name(".".join([first, *reversed(words)]), node)


class _Renamed(ast.NodeTransformer):
    """Puts other names in, as they are written."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return _name(written(self._names.get(node.id, node.id)), node)


def _name(text: str, node: ast.expr) -> ast.Name:
    return ast.copy_location(ast.Name(text, ast.Load()), node)


def _check(node: ast.expr, text: str, depth: int = 1) -> None:
    operands = _operands(node)
    if operands is None:
        raise SpaceError(
            f"`{text}` uses `{ast.get_source_segment(text.strip(), node)}`, "
            "which expressions do not have",
            hint="they have numbers, names, + - * / // %, comparisons, and/or/not, "
            "min and max of several numbers, and round of one",
        )
    if depth > _DEEPEST:
        raise SpaceError(
            f"an expression has at most {_DEEPEST} operators inside each other, "
            f"but `{text[:20]}...` has more"
        )
    for operand in operands:
        _check(operand, text, depth + 1)


def _operands(node: ast.expr) -> list[ast.expr] | None:
    """What `node` is made of; None if the language does not have it."""
    operands: list[ast.expr] | None = None
    match node:
        case ast.Constant(value=bool() | int() | float() | str()) | ast.Name():
            operands = []
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            operands = [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.Not(), operand=operand):
            operands = [operand]
        case ast.BoolOp(values=values):
            operands = values
        case ast.Compare(left=left, ops=ops, comparators=rest) if {
            type(op) for op in ops
        } <= _COMPARE.keys():
            operands = [left, *rest]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if (
            name in _FUNCTIONS and _fits(name, len(arguments))
        ):
            operands = arguments
    return operands


def _fits(function: str, arguments: int) -> bool:
    # `round(1, -1000000000)` would keep Python busy for ever.
    return arguments == 1 if function == "round" else arguments > 1


def _evaluate(node: ast.expr, values: Mapping[str, Value]) -> Value:
    result: Value
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as constant):
            result = constant
        case ast.Name(id=name):
            result = values[name]
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            result = not _evaluate(operand, values)
        case ast.BoolOp(op=op, values=operands):
            results = (bool(_evaluate(operand, values)) for operand in operands)
            result = all(results) if isinstance(op, ast.And) else any(results)
        case ast.Compare():
            result = _compare(node, values)
        case _:
            result = _calculate(node, values)
    return result


def _calculate(node: ast.expr, values: Mapping[str, Value]) -> float:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_number(left, values), _number(right, values))
        case ast.UnaryOp(operand=operand):
            return -_number(operand, values)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(_number(each, values) for each in arguments))
        case _:
            raise TypeError(f"`{ast.unparse(node)}` is not in the language")


def _compare(node: ast.Compare, values: Mapping[str, Value]) -> bool:
    operands = [_evaluate(each, values) for each in (node.left, *node.comparators)]
    pairs = zip(operands, node.ops, operands[1:], strict=False)
    return all(_compared(left, op, right) for left, op, right in pairs)


def _compared(left: Value, op: ast.cmpop, right: Value) -> bool:
    equality = isinstance(op, ast.Eq | ast.NotEq)
    if not equality and isinstance(left, str) != isinstance(right, str):
        raise TypeError(f"{left!r} and {right!r} have no order")
    return _COMPARE[type(op)](left, right)  # type: ignore[arg-type]  # two texts have an order too


def _number(node: ast.expr, values: Mapping[str, Value]) -> float:
    value = _evaluate(node, values)
    if isinstance(value, str):
        raise TypeError(f"{value!r} is not a number")
    return value
