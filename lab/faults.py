"""What goes wrong on a region's way to AWS: rules for requests, and what each request meets, by a seed."""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any
from xml.sax.saxutils import escape

_EVERYTHING = "*"


class Mode(StrEnum):
    REFUSE = "refuse"  # the connection ends before the request is passed on
    HANG = "hang"  # neither passed on nor answered while the rule stands or the client waits
    ERROR = "error"  # answered with `code` and `status`, not passed on
    LOSE_ANSWER = "lose_answer"  # applied, and the connection ends before the answer
    KILL = "kill"  # applied, and the function's process that asked is killed before the answer
    DELAY = "delay"  # passed on after `seconds`
    LAG = "lag"  # a read does not see what another region created less than `seconds` ago


@dataclass(frozen=True, slots=True)
class Rule:
    """Service, operation and resource are patterns as of a shell.

    `service` is the name in the credential scope; `operation` a name where the protocol has one, else method
    and path; `resource` any table, secret, function or bucket that the request names. Of the matching
    requests, in the order they arrive, the `seed` chooses the share `probability`: the same order, the
    same choice.
    """

    mode: Mode
    service: str = _EVERYTHING
    operation: str = _EVERYTHING
    resource: str = _EVERYTHING
    probability: float = 1.0
    seed: int = 0
    seconds: float = 0.0
    code: str = "InternalServerError"
    status: int = 500

    def __post_init__(self) -> None:
        object.__setattr__(self, "mode", Mode(self.mode))  # it comes as text over the control socket
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability {self.probability} is not between 0 and 1")
        if self.seconds < 0:
            raise ValueError(f"{self.seconds} seconds are none")

    def described(self) -> dict[str, Any]:
        return asdict(self)


def write_conflict(table: str, *, probability: float, seed: int) -> Rule:
    """What a strongly consistent table answers when two regions write one item at once; nothing is applied.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/V2globaltables_HowItWorks.html
    """
    return Rule(
        Mode.ERROR,
        service="dynamodb",
        operation="[PUD]*Item",  # put, update, delete; reads meet no conflict
        resource=table,
        probability=probability,
        seed=seed,
        code="ReplicatedWriteConflictException",
        status=400,
    )


def throttling(table: str, *, probability: float, seed: int) -> Rule:
    """DynamoDB's answer to a table that is asked too much of."""
    return Rule(
        Mode.ERROR,
        service="dynamodb",
        resource=table,
        probability=probability,
        seed=seed,
        code="ThrottlingException",
        status=400,
    )


@dataclass(slots=True)
class Armed:
    """A rule that stands: how many requests it met, and to how many it did what it says."""

    rule: Rule
    met: int = 0
    applied: int = 0
    stands: bool = True
    _chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.rule.seed)  # noqa: S311 - to be repeated, not to be secret

    def strikes(self) -> bool:
        """Whether the next request it meets is one of those it is for."""
        self.met += 1
        struck = self._chance.random() < self.rule.probability
        self.applied += struck
        return struck


class Faults:
    """The rules of one region, in order: the first that strikes decides."""

    def __init__(self) -> None:
        self._armed: tuple[Armed, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._armed)

    def replace(self, rules: Iterable[Rule]) -> None:
        """From now on these and no others; what hangs by an earlier one is let go."""
        armed = tuple(Armed(rule) for rule in rules)
        for before in self._armed:
            before.stands = False
        self._armed = armed

    def describe(self) -> list[dict[str, Any]]:
        return [
            {**armed.rule.described(), "met": armed.met, "applied": armed.applied} for armed in self._armed
        ]

    def may_meet(self, service: str, operation: str) -> bool:
        """Whether a request has to be read whole before its fate is known."""
        return bool(self._matching(service, operation))

    def decide(self, service: str, operation: str, resources: frozenset[str]) -> Armed | None:
        for armed in self._matching(service, operation):
            pattern = armed.rule.resource
            if pattern != _EVERYTHING and not any(fnmatchcase(one, pattern) for one in resources):
                continue
            if armed.strikes():
                return armed
        return None

    def _matching(self, service: str, operation: str) -> list[Armed]:
        return [
            armed
            for armed in self._armed
            if fnmatchcase(service, armed.rule.service) and fnmatchcase(operation, armed.rule.operation)
        ]


def resources(path: str, body: Mapping[str, Any]) -> frozenset[str]:
    """What a request names: in the members in which AWS's JSON protocols do, and in the parts of its path."""
    named = {str(body[member]) for member in ("TableName", "SecretId", "FunctionName") if member in body}
    by_table = body.get("RequestItems")
    named |= set(by_table) if isinstance(by_table, Mapping) else set()
    return frozenset(named | set(filter(None, path.split("/"))))


def parsed(body: bytes) -> Mapping[str, Any]:
    """A request in JSON; empty for what is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, Mapping) else {}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of AWS that says no, in the protocol of whoever asked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def refusal(rule: Rule, *, service: str, content_type: str) -> Refusal:
    """https://smithy.io/2.0/aws/protocols/index.html"""
    message = "injected by the lab"
    if content_type.startswith("application/x-amz-json"):
        document = {"__type": f"com.amazonaws.{service}#{rule.code}", "message": message}
        return Refusal(rule.status, {"Content-Type": content_type}, json.dumps(document).encode())
    inner = f"<Code>{escape(rule.code)}</Code><Message>{message}</Message>"
    if content_type.startswith("application/x-www-form-urlencoded"):
        text = f"<ErrorResponse><Error>{inner}</Error><RequestId>lab</RequestId></ErrorResponse>"
        return Refusal(rule.status, {"Content-Type": "text/xml"}, text.encode())
    if service == "s3":
        text = f"<Error>{inner}<RequestId>lab</RequestId></Error>"
        return Refusal(rule.status, {"Content-Type": "application/xml"}, text.encode())
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": rule.code}
    return Refusal(rule.status, headers, json.dumps({"message": message}).encode())
