"""What a deployment would change in one stack, and what that means for what it keeps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from ops.partial import Document, Partial, references
from ops.replacement import STATEFUL, Replaced, interrupts, replaced

_KEEPS: Final = frozenset({"Retain", "RetainExceptOnCreate", "Snapshot"})
_ATTRIBUTES: Final = ("DeletionPolicy", "UpdateReplacePolicy", "Metadata", "UpdatePolicy", "CreationPolicy")


class Action(StrEnum):
    ADD = "add"
    CHANGE = "change"
    REPLACE = "replace"
    REMOVE = "remove"
    UNKNOWN = "unknown"  # CloudFormation itself cannot say yet


class Effect(StrEnum):
    """On what is stateful; in this order of weight."""

    LOSES = "loses"  # what it holds is deleted
    LEAVES = "leaves"  # it stays, outside of the stack, and the system goes on with a new, empty one or none
    INTERRUPTS = "interrupts"  # it does not answer for a while


@dataclass(frozen=True, slots=True)
class Change:
    """Of one resource. `perhaps`: whether it is replaced shows only when it is done."""

    resource: str
    type: str
    action: Action
    properties: tuple[str, ...] = ()
    perhaps: bool = False
    effect: Effect | None = None

    @property
    def text(self) -> str:
        action = f"{self.action} (perhaps replace)" if self.perhaps else self.action
        told = f"{action} {self.resource} ({self.type})"
        if self.properties:
            told += f": {', '.join(self.properties)}"
        if self.effect is None:
            return told
        perhaps = "perhaps " if self.perhaps else ""
        return f"{told}  <- {perhaps}{_EFFECTS[self.effect]}"


_EFFECTS: Final = {
    Effect.LOSES: "what it holds is deleted",
    Effect.LEAVES: "it is left behind, and the system goes on without what it holds",
    Effect.INTERRUPTS: "it does not answer for a while",
}


@dataclass(frozen=True, slots=True)
class Deployed:
    """A template with the values of its parameters, in a region."""

    template: Document
    region: str
    parameters: Mapping[str, str]

    def filled_in(self) -> Partial:
        return Partial(self.template, self.region, self.parameters)


def effect(
    type_name: str, action: Action, perhaps: bool, policy: str | None, names: Sequence[str]
) -> Effect | None:
    """`policy` is what becomes of a resource that is removed or replaced; unknown counts as deletion."""
    if type_name not in STATEFUL:
        return None
    if action in (Action.REMOVE, Action.REPLACE, Action.UNKNOWN) or perhaps:
        return Effect.LEAVES if policy in _KEEPS else Effect.LOSES
    return Effect.INTERRUPTS if any(interrupts(type_name, name) for name in names) else None


def compared(now: Deployed, then: Deployed) -> tuple[Change, ...]:
    """What CloudFormation would do to the stack, in the order of titles."""
    old, new = now.filled_in().resources(), then.filled_in().resources()
    found = {change.resource: change for change in _direct(old, new, now.region)}
    while spread := list(_carried_on(found, old, new, now.region)):
        found |= {change.resource: change for change in spread}
    return tuple(found[logical_id] for logical_id in sorted(found))


def outputs_changed(now: Deployed, then: Deployed) -> tuple[str, ...]:
    old, new = now.filled_in().outputs(), then.filled_in().outputs()
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _direct(old: Mapping[str, Document], new: Mapping[str, Document], region: str) -> Iterator[Change]:
    for logical_id in old.keys() | new.keys():
        before, after = old.get(logical_id), new.get(logical_id)
        if before is None and after is not None:
            yield Change(logical_id, after["Type"], Action.ADD)
        elif before is not None and after is None:
            policy = before.get("DeletionPolicy")
            loses = effect(before["Type"], Action.REMOVE, False, policy, ())
            yield Change(logical_id, before["Type"], Action.REMOVE, effect=loses)
        elif before is not None and after is not None:
            names = _differing(before, after)
            if names:
                yield _changed(logical_id, before, after, names, region)


def _differing(before: Document, after: Document) -> tuple[str, ...]:
    old, new = before.get("Properties", {}), after.get("Properties", {})
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    attributes = [name for name in _ATTRIBUTES if before.get(name) != after.get(name)]
    return (*names, *attributes)


def _changed(
    logical_id: str, before: Document, after: Document, names: tuple[str, ...], region: str
) -> Change:
    kind = after["Type"]
    old, new = before.get("Properties", {}), after.get("Properties", {})
    meant = [replaced(kind, region, name, old.get(name), new.get(name)) for name in names]
    whole = Replaced.YES in meant or before["Type"] != kind
    action = Action.REPLACE if whole else Action.CHANGE
    perhaps = not whole and Replaced.PERHAPS in meant
    policy = after.get("UpdateReplacePolicy")
    return Change(logical_id, kind, action, names, perhaps, effect(kind, action, perhaps, policy, names))


def _carried_on(
    found: Mapping[str, Change], old: Mapping[str, Document], new: Mapping[str, Document], region: str
) -> Iterator[Change]:
    """Whoever names a resource that gets another identity changes with it."""
    moved = {
        change.resource for change in found.values() if change.action is Action.REPLACE or change.perhaps
    }
    for logical_id, after in new.items():
        properties: Mapping[str, Any] = after.get("Properties", {})
        names = [name for name, value in properties.items() if moved & set(references(value))]
        known = found.get(logical_id)
        if logical_id not in old or not names or (known is not None and set(names) <= set(known.properties)):
            continue
        kind = after["Type"]
        perhaps = any(
            replaced(kind, region, name, None, properties[name]) is not Replaced.NO for name in names
        )
        known = known or Change(logical_id, kind, Action.CHANGE)
        names = sorted({*known.properties, *names})
        perhaps = known.action is Action.CHANGE and (known.perhaps or perhaps)
        lost = effect(kind, known.action, perhaps, after.get("UpdateReplacePolicy"), names)
        yield replace(known, properties=tuple(names), perhaps=perhaps, effect=lost)
