"""Plans of Region switch and their executions, as the API tells of them."""

import secrets
import string
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from lab.embedded.handlers import Properties

FINISHED = ("completed", "canceled")
_SUMMARY = (
    *("name", "regions", "recoveryApproach", "primaryRegion", "description", "executionRole"),
    "recoveryTimeObjectiveMinutes",
)


class Refused(Exception):  # noqa: N818 - what the API did
    """`code` is the name of the API's error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(slots=True)
class Plan:
    """`document` is what it was made with, in the API's words."""

    arn: str
    account: str
    document: Properties
    version: int = 1
    updated: float = field(default_factory=time.time)

    @property
    def regions(self) -> list[str]:
        return list(self.document["regions"])

    def change(self, changes: Properties) -> None:
        self.document.update(changes)
        self.version += 1
        self.updated = time.time()

    def workflow(self, action: str, region: str) -> Properties | None:
        for workflow in self.document["workflows"]:
            target = workflow.get("workflowTargetRegion", region)
            if (workflow["workflowTargetAction"], target) == (action, region):
                found: Properties = workflow
                return found
        return None

    def summary(self) -> Properties:
        shown = {name: self.document[name] for name in _SUMMARY if name in self.document}
        return {**shown, "arn": self.arn, "owner": self.account, "version": str(self.version)}

    def described(self) -> Properties:
        shown = {name: value for name, value in self.document.items() if name != "tags"}
        return {**shown, **self.summary(), "updatedAt": self.updated}


def new_arn(account: str, name: str) -> str:
    """It ends in six characters that nobody can know before."""
    suffix = "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(6))
    return f"arn:aws:arc-region-switch::{account}:plan/{name}:{suffix}"


@dataclass(slots=True)
class StepState:
    name: str
    mode: str
    status: str = "notStarted"
    started: float | None = None
    ended: float | None = None

    def described(self) -> Properties:
        times = {"startTime": self.started, "endTime": self.ended}
        known = {name: value for name, value in times.items() if value is not None}
        return {"name": self.name, "status": self.status, "stepMode": self.mode, **known}


@dataclass(slots=True)
class Execution:
    """One run of a workflow. Only the region it runs in, the one that was asked for it, knows of it."""

    plan: Properties
    plan_arn: str
    version: int
    region: str
    action: str
    mode: str
    comment: str = ""
    token: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "inProgress"
    started: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    ended: float | None = None
    steps: dict[str, StepState] = field(default_factory=dict)
    events: list[Properties] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    def begin_step(self, name: str, block: str) -> None:
        step = self.steps.setdefault(name, StepState(name, self.mode))
        step.status, step.started, step.ended = "running", time.time(), None
        self.tell("stepStarted", stepName=name, executionBlockType=block)

    def switch_to_ungraceful(self) -> None:
        """What has not begun yet is done so."""
        self.mode = "ungraceful"
        self.tell("executionBehaviorChangedToUngraceful")

    def switch_step_to_ungraceful(self, name: str) -> None:
        self.steps[name].mode = "ungraceful"
        self.tell("stepExecutionBehaviorChangedToUngraceful", stepName=name)

    def end_step(self, name: str, status: str, event: str, error: str = "") -> None:
        step = self.steps[name]
        step.status, step.ended = status, time.time()
        self.tell(event, stepName=name, **({"error": error} if error else {}))

    def come_to(self, state: str, event: str) -> None:
        self.state = state
        if self.finished:
            self.ended = time.time()
        self.tell(event)

    def tell(self, kind: str, **more: Any) -> None:
        self.updated = time.time()
        before = {"previousEventId": self.events[-1]["eventId"]} if self.events else {}
        event_id = str(uuid.uuid4())
        self.events.append({"timestamp": self.updated, "type": kind, "eventId": event_id, **before, **more})

    def summary(self) -> Properties:
        ended: Properties = {} if self.ended is None else {"endTime": self.ended}
        if self.state == "completed" and self.ended is not None:
            ended["actualRecoveryTime"] = f"PT{round(self.ended - self.started)}S"
        return {
            "planArn": self.plan_arn,
            "executionId": self.id,
            "version": str(self.version),
            "updatedAt": self.updated,
            "comment": self.comment,
            "startTime": self.started,
            "mode": self.mode,
            "executionState": self.state,
            "executionAction": self.action,
            "executionRegion": self.region,
            **ended,
        }

    def described(self) -> Properties:
        steps = [step.described() for step in self.steps.values()]
        return {**self.summary(), "stepStates": steps, "plan": self.plan}
