"""Expressions over metrics, and which of them are not pretended to be understood."""

import pytest

from lab.embedded.metric_math import Series, UnknownExpressionError, evaluate

SERIES: dict[str, Series] = {"m1": [4.0, None, 2.0], "m2": [2.0, 3.0, 0.0]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("m1 + 1", [5.0, None, 3.0]),
        ("100 * m1 / m2", [200.0, None, None]),  # what is divided by zero has no value
        ("SUM([m1, m2])", [6.0, 3.0, 2.0]),
        ("MAX(METRICS())", [4.0, 3.0, 2.0]),
        ("AVG(m2)", [5 / 3] * 3),
        ("FILL(m1, 0)", [4.0, 0.0, 2.0]),
        ("FILL(m1, REPEAT)", [4.0, 2.0, 2.0]),  # the newest first: a gap repeats what came before it
        ("IF(m2 > 2, m2, 0)", [0.0, 3.0, 0.0]),
        ("IF(m1 > 3 && m2 < 3, 1, 0)", [1.0, None, 0.0]),
        ("ABS(-m2)", [2.0, 3.0, 0.0]),
    ],
)
def test_expressions(expression: str, expected: Series) -> None:
    assert evaluate(expression, SERIES) == expected


@pytest.mark.parametrize(
    "expression", ["ANOMALY_DETECTION_BAND(m1)", "m3", "SELECT AVG(x)", "m1 +", "'text'", "METRICS()"]
)
def test_what_is_not_understood_is_refused(expression: str) -> None:
    with pytest.raises(UnknownExpressionError):
        evaluate(expression, SERIES)
