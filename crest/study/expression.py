"""Arithmetic over metrics by name, as users write it: ``macro_f1 - 0.1 * energy_per_inference_uj / 400000``."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from crest.frozen import Frozen

_LONGEST: Final = 1000
_DEEPEST: Final = 100

_BINARY: Final[dict[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    # Not operator.pow, which gives complex numbers.
    ast.Pow: math.pow,
}
_UNARY: Final[dict[type[ast.unaryop], Callable[[float], float]]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}


class _Function(NamedTuple):
    call: Callable[..., float]
    fewest: int
    most: int | None


_FUNCTIONS: Final = {
    "abs": _Function(math.fabs, 1, 1),
    "log": _Function(math.log, 1, 1),
    "max": _Function(max, 2, None),
    "min": _Function(min, 2, None),
    "sqrt": _Function(math.sqrt, 1, 1),
}
FUNCTIONS: Final = tuple(_FUNCTIONS)
"""Functions of expressions by name; ``log`` is the natural logarithm."""


class NameUse(NamedTuple):
    """A metric that an expression names, and the column (from 1) at which it does so first."""

    name: str
    column: int


class Expression(Frozen):
    """An expression over metrics; written and stored as its text.

    It holds numbers, names of metrics, ``+ - * / **``, parentheses and ``FUNCTIONS``, nothing else. It is a tree that
    is walked: no text of a study is ever run as Python.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Read an expression.

        Raises:
            ValueError: it is no expression, with the column; or it names no metric.
        """
        text = " ".join(text.split())
        if not any(isinstance(node, ast.Name) for node in _walk(_tree(text))):
            raise ValueError(f"{text!r} names no metric")
        return cls(text=text)

    @property
    def names(self) -> tuple[NameUse, ...]:
        """The metrics that it names, each once."""
        used: dict[str, int] = {}
        for node in _walk(_tree(self.text)):
            if isinstance(node, ast.Name):
                used[node.id] = min(used.get(node.id, node.col_offset + 1), node.col_offset + 1)
        return tuple(NameUse(name, column) for name, column in sorted(used.items(), key=lambda item: item[1]))

    def evaluate(self, metrics: Mapping[str, float]) -> float:
        """Its value, a finite number.

        Args:
            metrics: a value of each metric that it names.

        Raises:
            ValueError: it has no finite value at these metrics; says which part of it and at what values.
        """
        return _value(_tree(self.text), metrics)


@lru_cache(maxsize=256)
def _tree(text: str) -> ast.expr:
    """The checked tree of an expression."""
    if len(text) > _LONGEST:
        raise ValueError(f"an expression has at most {_LONGEST} characters, this one has {len(text)}")
    comment = text.find("#")
    if comment >= 0:
        raise ValueError(f"column {comment + 1}: '#' is no part of an expression")
    try:
        with warnings.catch_warnings():
            # What Python finds doubtful is refused below, or harmless.
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except SyntaxError as exc:
        raise ValueError(f"column {exc.offset or len(text) + 1}: {text!r} is not an expression: {exc.msg}") from None
    except (ValueError, RecursionError, MemoryError) as exc:
        raise ValueError(f"{text!r} is not an expression: {exc or 'it is nested too deeply'}") from None
    _check(tree, 0)
    return tree


def _check(node: ast.expr, depth: int) -> None:
    """Refuse everything that an expression must not hold."""
    if depth > _DEEPEST:
        raise ValueError(f"column {node.col_offset + 1}: the expression is nested too deeply")
    if isinstance(node, ast.Constant):
        _check_number(node)
    elif isinstance(node, ast.Call):
        _check_call(node)
    elif not (isinstance(node, ast.Name) or _is_arithmetic(node)):
        raise _not_allowed(node)
    for operand in _operands(node):
        _check(operand, depth + 1)


def _is_arithmetic(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return type(node.op) in _BINARY
    return isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY


def _check_number(node: ast.Constant) -> None:
    if type(node.value) not in (int, float):
        raise _not_allowed(node)
    try:
        finite = math.isfinite(float(node.value))  # type: ignore[arg-type]
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError(f"column {node.col_offset + 1}: this number is too large")


def _check_call(node: ast.Call) -> None:
    column = node.col_offset + 1
    function = _FUNCTIONS.get(node.func.id) if isinstance(node.func, ast.Name) else None
    if function is None:
        raise ValueError(f"column {column}: no function {ast.unparse(node.func)!r}; there are {', '.join(FUNCTIONS)}")
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise _not_allowed(node)
    if len(node.args) < function.fewest or (function.most is not None and len(node.args) > function.most):
        wanted = "one value" if function.most == 1 else "two values or more"
        raise ValueError(f"column {column}: {ast.unparse(node)!r}: this function takes {wanted}")


def _not_allowed(node: ast.expr) -> ValueError:
    allowed = f"numbers, metrics, + - * / **, parentheses and {', '.join(FUNCTIONS)}"
    return ValueError(
        f"column {node.col_offset + 1}: {ast.unparse(node)!r} is not allowed; an expression has {allowed}"
    )


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    return node.args if isinstance(node, ast.Call) else []


def _walk(node: ast.expr) -> Iterator[ast.expr]:
    """The nodes that have a value: the name of a function is not among them."""
    yield node
    for operand in _operands(node):
        yield from _walk(operand)


def _value(node: ast.expr, metrics: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]
    values = [_value(operand, metrics) for operand in _operands(node)]
    try:
        result = metrics[node.id] if isinstance(node, ast.Name) else float(_operation(node)(*values))
    except (ArithmeticError, ValueError):
        result = math.nan
    if not math.isfinite(result):
        shown = ", ".join(f"{value:.6g}" for value in values)
        raise ValueError(f"{ast.unparse(node)} is not a finite number" + (f" for {shown}" if values else ""))
    return result


def _operation(node: ast.expr) -> Callable[..., float]:
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)]
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)]
    assert isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return _FUNCTIONS[node.func.id].call
