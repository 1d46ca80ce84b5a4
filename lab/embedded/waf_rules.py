"""What a web ACL decides about one request: its rules in order of priority, as AWS WAF documents them.

https://docs.aws.amazon.com/waf/latest/developerguide/web-acl-processing.html. Rates are counted exactly and
at once; AWS WAF estimates them and needs up to a minute.
"""

import ipaddress
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from lab.embedded.waf_managed import GROUPS

Statement = Mapping[str, Any]
_INSPECTED = 16 * 1024  # bytes of a body that API Gateway hands to AWS WAF by default
_WINDOW = 300  # seconds, unless a rate-based rule says otherwise
_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    "EQ": lambda size, limit: size == limit,
    "NE": lambda size, limit: size != limit,
    "LE": lambda size, limit: size <= limit,
    "LT": lambda size, limit: size < limit,
    "GE": lambda size, limit: size >= limit,
    "GT": lambda size, limit: size > limit,
}
_POSITIONS: Mapping[str, Callable[[bytes, bytes], bool]] = {
    "EXACTLY": lambda text, wanted: text == wanted,
    "STARTS_WITH": lambda text, wanted: text.startswith(wanted),
    "ENDS_WITH": lambda text, wanted: text.endswith(wanted),
    "CONTAINS": lambda text, wanted: wanted in text,
}


class NotModelledError(ValueError):
    """A rule the lab cannot evaluate; it must not pretend to."""


@dataclass(frozen=True, slots=True)
class WebRequest:
    """`headers` by lower-case name; `path` without the stage."""

    source_ip: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""

    def part(self, field_to_match: Statement) -> tuple[bytes, bool]:
        """What a statement looks at, and whether there is more of it than AWS WAF sees."""
        match field_to_match:
            case {"Body": _} | {"JsonBody": _}:
                return self.body[:_INSPECTED], len(self.body) > _INSPECTED
            case {"UriPath": _}:
                return self.path.encode(), False
            case {"QueryString": _}:
                return self.query.encode(), False
            case {"Method": _}:
                return self.method.encode(), False
            case {"SingleHeader": {"Name": name}}:
                return self.headers.get(str(name).lower(), "").encode(), False
        raise NotModelledError(f"FieldToMatch {', '.join(field_to_match)}")


@dataclass
class Rates:
    """When requests came, by rule and key; kept as long as a window is."""

    seen: dict[tuple[str, str], deque[float]] = field(default_factory=dict)

    def count(self, rule: str, key: str, now: float, window: float) -> int:
        times = self.seen.setdefault((rule, key), deque())
        times.append(now)
        while times[0] <= now - window:
            times.popleft()
        return len(times)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`rule` ended the evaluation; the default action when it is None. `inner` is a rule of a group."""

    action: str  # "ALLOW" or "BLOCK"
    rule: str | None = None
    kind: str = "REGULAR"
    inner: str | None = None
    response: Mapping[str, Any] = field(default_factory=dict)  # a CustomResponse and the bodies it may name
    counted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    acl: Mapping[str, Any]
    request: WebRequest
    rates: Rates
    sets: Callable[[str], Mapping[str, Any]]  # an IP set or a set of patterns by its ARN
    now: float


def decide(context: Context) -> Verdict:
    counted: list[str] = []
    for rule in sorted(context.acl.get("Rules") or (), key=lambda rule: int(rule["Priority"])):
        statement = rule["Statement"]
        if "ManagedRuleGroupStatement" in statement:
            inner = _managed(statement["ManagedRuleGroupStatement"], context)
            blocked = [name for name, action in inner if action == "Block"]
            counted += [f"{rule['Name']}/{name}" for name, action in inner if action == "Count"]
            if not blocked:
                continue
            if "Count" in (rule.get("OverrideAction") or {}):
                counted.append(rule["Name"])
                continue
            return Verdict("BLOCK", rule["Name"], "MANAGED_RULE_GROUP", blocked[0], {}, tuple(counted))
        if not matches(statement, context, rule["Name"]):
            continue
        action = rule["Action"]
        if "Count" in action:
            counted.append(rule["Name"])
            continue
        kind = "RATE_BASED" if "RateBasedStatement" in statement else "REGULAR"
        if "Allow" in action:
            return Verdict("ALLOW", rule["Name"], kind, counted=tuple(counted))
        response = _custom(context.acl, action)
        return Verdict("BLOCK", rule["Name"], kind, None, response, tuple(counted))
    default = context.acl.get("DefaultAction") or {}
    response = _custom(context.acl, default)
    return Verdict("BLOCK" if "Block" in default else "ALLOW", response=response, counted=tuple(counted))


def _custom(acl: Mapping[str, Any], action: Mapping[str, Any]) -> Mapping[str, Any]:
    response = (action.get("Block") or {}).get("CustomResponse")
    if not response:
        return {}
    body = (acl.get("CustomResponseBodies") or {}).get(response.get("CustomResponseBodyKey"), {})
    return {**response, "Body": body}


def matches(statement: Statement, context: Context, rule: str) -> bool:
    ((kind, inner),) = statement.items()
    request = context.request
    match kind:
        case "RateBasedStatement":
            return _too_many(inner, context, rule)
        case "NotStatement":
            return not matches(inner["Statement"], context, rule)
        case "AndStatement":
            return all(matches(one, context, rule) for one in inner["Statements"])
        case "OrStatement":
            return any(matches(one, context, rule) for one in inner["Statements"])
        case "SizeConstraintStatement":
            part, oversize = _part(inner, request)
            if oversize and (found := _oversize(inner)) is not None:
                return found
            # The size of a body is known even where its end is not inspected.
            size = len(request.body) if "Body" in inner["FieldToMatch"] else len(part)
            return _COMPARISONS[inner["ComparisonOperator"]](size, int(inner["Size"]))
        case "ByteMatchStatement":
            part, oversize = _part(inner, request)
            if oversize and (found := _oversize(inner)) is not None:
                return found
            return _POSITIONS[inner["PositionalConstraint"]](part, str(inner["SearchString"]).encode())
        case "RegexMatchStatement":
            part, _ = _part(inner, request)
            return re.search(str(inner["RegexString"]).encode(), part) is not None
        case "RegexPatternSetReferenceStatement":
            part, _ = _part(inner, request)
            patterns = context.sets(inner["ARN"])["RegularExpressionList"]
            texts = (one["RegexString"] if isinstance(one, Mapping) else one for one in patterns)
            return any(re.search(text.encode(), part) for text in texts)
        case "IPSetReferenceStatement":
            address = ipaddress.ip_address(request.source_ip)
            networks = context.sets(inner["ARN"])["Addresses"]
            return any(address in ipaddress.ip_network(network) for network in networks)
    raise NotModelledError(kind)


def _part(statement: Statement, request: WebRequest) -> tuple[bytes, bool]:
    part, oversize = request.part(statement["FieldToMatch"])
    ordered = sorted(statement.get("TextTransformations") or (), key=lambda one: int(one["Priority"]))
    for transformation in ordered:
        match transformation["Type"]:
            case "NONE":
                pass
            case "LOWERCASE":
                part = part.lower()
            case "URL_DECODE":
                part = unquote(part.decode("latin-1"), "latin-1").encode("latin-1")
            case unknown:
                raise NotModelledError(f"TextTransformation {unknown}")
    return part, oversize


def _oversize(statement: Statement) -> bool | None:
    """None: look at what there is."""
    handling = next(iter(statement["FieldToMatch"].values())) or {}
    return {"MATCH": True, "NO_MATCH": False}.get(handling.get("OversizeHandling", "CONTINUE"))


def _too_many(statement: Statement, context: Context, rule: str) -> bool:
    scope = statement.get("ScopeDownStatement")
    if scope and not matches(scope, context, rule):
        return False
    match statement.get("AggregateKeyType", "IP"):
        case "IP":
            key = context.request.source_ip
        case "CONSTANT":
            key = "everybody"
        case other:
            raise NotModelledError(f"AggregateKeyType {other}")
    window = float(statement.get("EvaluationWindowSec") or _WINDOW)
    name = f"{context.acl.get('ARN')}/{rule}"
    return context.rates.count(name, key, context.now, window) > int(statement["Limit"])


def _managed(statement: Statement, context: Context) -> list[tuple[str, str]]:
    """The rules of the group that match, each with what is to be done: Block, or Count when overridden."""
    if statement.get("ScopeDownStatement") and not matches(statement["ScopeDownStatement"], context, ""):
        return []
    overrides = {
        item["Name"]: next(iter(item["ActionToUse"])) for item in statement.get("RuleActionOverrides") or ()
    }
    overrides |= {item["Name"]: "Count" for item in statement.get("ExcludedRules") or ()}
    rules = GROUPS[statement["Name"]].rules
    return [
        (name, overrides.get(name, "Block")) for name, applies in rules.items() if applies(context.request)
    ]


def require_modelled(acl: Mapping[str, Any]) -> None:
    """Raises NotModelledError for a rule that could not be evaluated when a request comes."""
    asked = WebRequest("192.0.2.1", "GET", "/", "", {})
    for statement in _statements(acl.get("Rules") or ()):
        match statement:
            case {"ManagedRuleGroupStatement": group}:
                if group.get("VendorName") != "AWS" or group["Name"] not in GROUPS:
                    raise NotModelledError(f"managed rule group {group['Name']}")
            case {"RegexPatternSetReferenceStatement": _} | {"IPSetReferenceStatement": _}:
                pass
            case _:
                context = Context(acl, asked, Rates(), lambda arn: {}, 0.0)
                matches(statement, context, "")


def _statements(rules: Any) -> Iterator[Statement]:
    for rule in rules:
        yield rule["Statement"]
