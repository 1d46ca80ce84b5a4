"""A difference as text and as JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from failover.planner import Unknown
from ops.changes import Action
from ops.diff import Difference, StackDiff


def document(found: Difference) -> dict[str, Any]:
    return {
        "differs": found.differs,
        "stacks": [
            {"stack": stack, "region": region, **_stack(one)} for (stack, region), one in found.stacks.items()
        ],
        "drift": [asdict(one) for one in found.drift],
        "drift_unknown": {region: unknown.why for region, unknown in found.drift_unknown.items()},
    }


def _stack(one: StackDiff | Unknown) -> dict[str, Any]:
    if isinstance(one, Unknown):
        return {"unknown": one.why}
    changes = [asdict(change) for change in one.changes]
    return {"absent": one.absent, "changes": changes, "outputs": list(one.outputs)}


def text(found: Difference) -> str:
    lines = [line for (stack, region), one in found.stacks.items() for line in _lines(stack, region, one)]
    if found.drift:
        lines.append("drift, which no deployment changes:")
        lines += [f"  {one.text}" for one in found.drift]
    lines += [f"drift in {region}: unknown: {unknown.why}" for region, unknown in found.drift_unknown.items()]
    if not found.differs and not found.unknown:
        lines.append("Deploying would change nothing.")
    return "\n".join(lines)


def _lines(stack: str, region: str, one: StackDiff | Unknown) -> Iterator[str]:
    where = f"{stack:<11} {region:<10} "
    if isinstance(one, Unknown):
        yield f"{where} unknown: {one.why}"
    elif one.absent:
        yield f"{where} is not there; deploying makes {len(one.changes)} resources"
    elif not one.differs:
        yield f"{where} nothing"
    else:
        counted = {action: sum(change.action is action for change in one.changes) for action in Action}
        yield (
            where
            + " "
            + (", ".join(f"{n} to {action}" for action, n in counted.items() if n) or "outputs only")
        )
        yield from (f"  {change.text}" for change in one.changes)
        if one.outputs:
            yield f"  outputs: {', '.join(one.outputs)}"
