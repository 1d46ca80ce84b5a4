"""Template conditions with everything AWS lets them say.

MiniStack resolves parameters in a condition but neither `AWS::Region` nor `Fn::FindInMap`, so that the
condition by which one template serves two regions would hold in none:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html
"""

from collections.abc import Mapping
from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers, stacks

from lab.embedded.handlers import Handlers


def register(_: Handlers) -> None:
    for module in (changesets, engine, handlers, stacks):
        module._evaluate_conditions = evaluate


def evaluate(template: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, bool]:
    """Every condition of the template, in the request's account and region."""
    definitions: Mapping[str, Any] = template.get("Conditions") or {}
    known: dict[str, bool] = {}

    def holds(expression: Any) -> bool:
        if not isinstance(expression, Mapping):
            return str(expression).lower() == "true"
        ((function, argument),) = expression.items()
        match function:
            case "Fn::Equals":
                left, right = (value(side) for side in argument)
                return str(left) == str(right)
            case "Fn::And":
                return all(holds(part) for part in argument)
            case "Fn::Or":
                return any(holds(part) for part in argument)
            case "Fn::Not":
                return not holds(argument[0])
            case "Condition":
                return named(argument)
            case _:
                return str(value(expression)).lower() == "true"

    def value(expression: Any) -> Any:
        return engine._resolve_refs(expression, {}, parameters, known, template.get("Mappings") or {}, "", "")

    def named(name: str) -> bool:
        if name not in known:
            if name not in definitions:
                raise ValueError(f"Template format error: Unresolved condition dependency {name}")
            known[name] = holds(definitions[name])
        return known[name]

    return {name: named(name) for name in definitions}
