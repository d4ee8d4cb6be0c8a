import ast
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crest.study import Expression
from crest.study.expression import FUNCTIONS

METRICS = {"macro_f1": 0.8, "energy_per_inference_uj": 40_000.0, "latency_ms": 9.0, "zero": 0.0}
NAMES = st.sampled_from([*METRICS, "x1"])


def expressions():
    """Texts of expressions, built from the grammar of the documentation."""
    numbers = st.integers(0, 10**6).map(str) | st.floats(0, 1e9).map(repr)
    return st.recursive(
        numbers | NAMES,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "**"]), inner).map(lambda t: f"({' '.join(t)})"),
            inner.map(lambda text: f"-{text}"),
            st.tuples(st.sampled_from(["abs", "log", "sqrt"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
            st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
        ),
        max_leaves=12,
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("macro_f1 - 0.1 * energy_per_inference_uj / 400000", 0.79),
        ("-latency_ms ** 2", -81.0),
        ("2 ** -1 * latency_ms", 4.5),
        ("max(1, latency_ms, 3) + min(macro_f1, 2)", 9.8),
        ("sqrt(latency_ms) + log(latency_ms / 9) + abs(-macro_f1)", 3.8),
        ("  (latency_ms\n + 1e1) ", 19.0),
    ],
)
def test_an_expression_has_its_value(text, value):
    assert Expression.parse(text).evaluate(METRICS) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["column 1", "not an expression"]),
        ("latency_ms +", ["column 13", "not an expression"]),
        ("latency_ms latency_ms", ["not an expression"]),
        ("__import__('os').system('true')", ["column 1", "no function"]),
        ("latency_ms.real", ["column 1", "'latency_ms.real' is not allowed"]),
        ("1 + latency_ms[0]", ["column 5", "not allowed"]),
        ("exp(latency_ms)", ["column 1", "no function 'exp'", "sqrt"]),
        ("(lambda: 1)()", ["no function"]),
        ("max(*latency_ms, 1)", ["not allowed"]),
        ("max(latency_ms, 1, key=abs)", ["not allowed"]),
        ("[latency_ms for x in y]", ["not allowed"]),
        ("latency_ms if 1 else 2", ["not allowed"]),
        ("latency_ms and 1", ["not allowed"]),
        ("latency_ms <= 3", ["not allowed"]),
        ("latency_ms // 3", ["not allowed"]),
        ("latency_ms % 3", ["not allowed"]),
        ("~latency_ms", ["not allowed"]),
        ("latency_ms + 'text'", ["column 14", "not allowed"]),
        ("latency_ms + True", ["not allowed"]),
        ("latency_ms + 3j", ["not allowed"]),
        ("(x := latency_ms)", ["not allowed"]),
        ("f'{latency_ms}'", ["not allowed"]),
        ("latency_ms, 1", ["not allowed"]),
        ("latency_ms # more", ["column 12", "'#'"]),
        ("latency_ms\x00", ["not an expression"]),
        ("latency_ms * 1e999", ["column 14", "too large"]),
        ("latency_ms * 1" + "0" * 400, ["column 14", "too large"]),
        ("abs(latency_ms, 2)", ["one value"]),
        ("min(latency_ms)", ["two values"]),
        ("1 + 2", ["names no metric"]),
        ("+".join(["latency_ms"] * 500), ["at most 1000 characters"]),
        ("+".join(["x"] * 400), ["nested too deeply"]),
        ("-" * 900 + "x", ["nested too deeply"]),
        ("(" * 400 + "x" + ")" * 400, ["not an expression"]),
    ],
)
def test_what_is_no_expression_is_refused_at_its_column(text, words):
    with pytest.raises(ValueError) as caught:
        Expression.parse(text)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 + latency_ms / zero", ["latency_ms / zero", "for 9, 0"]),
        ("log(zero)", ["log(zero)", "for 0"]),
        ("sqrt(0 - latency_ms)", ["sqrt(0 - latency_ms)", "for -9"]),
        ("zero ** -1", ["zero ** (-1)", "for 0, -1"]),
        ("(0 - latency_ms) ** 0.5", ["** 0.5", "for -9, 0.5"]),
        ("latency_ms ** latency_ms ** latency_ms", ["latency_ms ** latency_ms"]),
        ("1e308 * latency_ms", ["for 1e+308, 9"]),
    ],
)
def test_no_finite_value_is_an_error_that_shows_the_part_and_its_values(text, words):
    with pytest.raises(ValueError) as caught:
        Expression.parse(text).evaluate(METRICS)
    for word in words:
        assert word in str(caught.value)


def test_a_metric_that_is_not_a_number_has_no_place_in_a_minimum():
    with pytest.raises(ValueError, match="latency_ms is not a finite number"):
        Expression.parse("min(1, latency_ms)").evaluate({"latency_ms": math.nan})


def test_names_come_with_their_first_column():
    assert Expression.parse("max(b, 2) + a * b").names == (("b", 5), ("a", 13))
    assert Expression.parse("log + log(x)").names == (("log", 1), ("x", 11))


@settings(deadline=None)
@given(expressions(), st.floats(allow_nan=True, allow_infinity=True), st.floats(-10, 10))
def test_values_are_those_of_python_or_an_error(text, first, second):
    metrics = {**METRICS, "latency_ms": first, "x1": second}
    if not any(name in text for name in metrics):
        return
    try:
        expression = Expression.parse(text)
    except ValueError as exc:
        assert "names no metric" in str(exc) or "nested too deeply" in str(exc)
        return
    assert Expression.parse(str(expression)) == expression
    try:
        value = expression.evaluate(metrics)
    except ValueError:
        return
    assert math.isfinite(value)
    functions = {"abs": abs, "log": math.log, "max": max, "min": min, "sqrt": math.sqrt, "__builtins__": {}}
    assert eval(text, functions, metrics) == pytest.approx(value, rel=1e-9)


@settings(deadline=None)
@given(st.text(max_size=60) | st.text("abx1 .()[]+-*/_,:'\"{}=<>\\", max_size=40))
def test_any_text_is_an_expression_of_the_allowed_nodes_or_a_value_error(text):
    try:
        expression = Expression.parse(text)
    except ValueError:
        return
    allowed = (ast.BinOp, ast.UnaryOp, ast.Name, ast.Call, ast.Constant, ast.operator, ast.unaryop, ast.Load)
    for node in ast.walk(ast.parse(str(expression), mode="eval").body):
        assert isinstance(node, allowed)
        if isinstance(node, ast.Call):
            assert node.func.id in FUNCTIONS
