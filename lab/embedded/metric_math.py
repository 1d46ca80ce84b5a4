"""Metric math, as much of it as alarms need; an expression that is not understood is refused, not guessed.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Series = list[float | None]
Value = float | Series

_ARITHMETIC: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.And: lambda left, right: left and right,
    ast.Or: lambda left, right: left or right,
}
_ACROSS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "MAX": max,
    "MIN": min,
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
}


class UnknownExpressionError(ValueError):
    """An expression outside the part of metric math that is modelled here."""


def evaluate(expression: str, series: Mapping[str, Series]) -> Series:
    """One value for each period, None where there is none. Raises UnknownExpressionError."""
    try:
        tree = ast.parse(expression.replace("&&", " and ").replace("||", " or "), mode="eval")
    except SyntaxError as error:
        raise UnknownExpressionError(f"{expression}: {error.msg}") from error
    length = max((len(values) for values in series.values()), default=0)
    return _series(_value(tree.body, series), length)


def _value(node: ast.AST, series: Mapping[str, Series]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in series:
            return series[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _each(operator.sub, 0.0, _value(operand, series))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return _each(_ARITHMETIC[type(op)], _value(left, series), _value(right, series))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _ARITHMETIC:
            return _each(_ARITHMETIC[type(op)], _value(left, series), _value(right, series))
        case ast.BoolOp(op=op, values=[left, right]):
            return _each(_ARITHMETIC[type(op)], _value(left, series), _value(right, series))
        case ast.List(elts=elements):
            return [_value(element, series) for element in elements]
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _call(name, arguments, series)
    raise UnknownExpressionError(f"{ast.unparse(node)} is not modelled")


def _call(name: str, arguments: list[ast.expr], series: Mapping[str, Series]) -> Value:
    length = max((len(values) for values in series.values()), default=0)
    match name, arguments:
        case "METRICS", []:
            raise UnknownExpressionError("METRICS() is only modelled inside SUM, AVG, MIN and MAX")
        case "FILL", [metric, filling]:
            filled = _value(metric, series)
            with_ = ast.unparse(filling)
            return _repeated(filled) if with_ == "REPEAT" else _filled(filled, _value(filling, series))
        case "IF", [condition, *branches] if 1 <= len(branches) <= 2:
            chosen, *otherwise = (_series(_value(branch, series), length) for branch in branches)
            other = otherwise[0] if otherwise else [None] * length
            asked = _series(_value(condition, series), length)
            return [
                None if test is None else (chosen[index] if test else other[index])
                for index, test in enumerate(asked)
            ]
        case (("MAX" | "MIN" | "SUM" | "AVG"), [only]):
            if ast.unparse(only) == "METRICS()":
                return _across(name, list(series.values()), length)
            if isinstance(only, ast.List):
                return _across(name, [_value(element, series) for element in only.elts], length)
            values = [value for value in _series(_value(only, series), length) if value is not None]
            return float(_ACROSS[name](values)) if values else [None] * length
        case "ABS", [only]:
            return _each(lambda value, _: abs(value), _value(only, series), 0.0)
    raise UnknownExpressionError(f"{name} with {len(arguments)} arguments is not modelled")


def _each(act: Callable[[float, float], Any], left: Value, right: Value) -> Value:
    """Period by period; a value that is missing, or divided by zero, makes the result missing."""
    if not isinstance(left, list) and not isinstance(right, list):
        return float(act(left, right))
    length = max(len(side) for side in (left, right) if isinstance(side, list))
    result: Series = []
    for one, other in zip(_series(left, length), _series(right, length), strict=True):
        if one is None or other is None or (act is operator.truediv and other == 0):
            result.append(None)
        else:
            result.append(float(act(one, other)))
    return result


def _across(name: str, several: list[Value], length: int) -> Series:
    columns = zip(*(_series(values, length) for values in several), strict=True)
    present = ([value for value in column if value is not None] for column in columns)
    return [float(_ACROSS[name](values)) if values else None for values in present]


def _filled(values: Value, filling: Value) -> Series:
    own = _series(values, 0)
    others = _series(filling, len(own))
    return [other if value is None else value for value, other in zip(own, others, strict=True)]


def _repeated(newest_first: Value) -> Series:
    last: float | None = None
    oldest_first: Series = []
    for value in reversed(_series(newest_first, 0)):
        last = last if value is None else value
        oldest_first.append(last)
    return oldest_first[::-1]


def _series(value: Value, length: int) -> Series:
    return value if isinstance(value, list) else [value] * length
