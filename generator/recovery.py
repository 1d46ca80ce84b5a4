"""How long recovery takes at worst, read from the rendered templates.

Two things happen side by side once a region is dead, and clients are served when both are through: DNS leads
them away from it, and the other region begins to accept payments. Promoting the database and posting what is
missing come after that: payments are accepted meanwhile, and answered 202. Towards the primary the two follow
one another, because its record has been red all the time: it turns green once that region accepts payments.

What a template does not say is a constant here, with where it is written; what AWS gives no figure for is an
assumption, and says so.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from msgspec.json import decode

from generator.problems import BuildError, Problem
from templates.config import Settings

# Route 53 answers an alias to an API Gateway domain with the target's TTL.
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-choosing-alias-non-alias.html
ALIAS_TTL_SECONDS = 60
# A check waits four seconds for a connection and two more for an answer; checkers begin at any moment.
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html
CHECK_TIMEOUT_SECONDS = 6
# A schedule's start may be that late: "60 second precision".
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
SCHEDULE_LATENESS_SECONDS = 59
# Alarms with a period below a minute are judged every ten seconds, others every minute.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
QUICK_ALARM_SECONDS, ALARM_SECONDS = 10, 60
# Longer than that Lambda lets no function initialise before it begins anew.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
COLD_START_SECONDS = 10
# Lambda waits so long before it tries again what an alarm started and what failed.
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
SECOND_TRY_SECONDS = 60
# failover.control.LEASE_SECONDS: the epoch before may still be accepting for so long.
LEASE_SECONDS = 3
# Assumptions. One request to AWS in the own region; and from an alarm's state to its action, or from a plan's
# start to its first step.
REQUEST_SECONDS = 1
HANDOVER_SECONDS = 5
# The record is read before each step, of which there are three, and written by two.
_FENCING_SECONDS = 5 * REQUEST_SECONDS + LEASE_SECONDS

VOTE = "ActiveRegionUnreachable"
ACCEPTING_STEP = "fence"
_READ = ("service", "witness", "root")
_PROBE_VARIABLES = ("PROBE_INTERVAL_SECONDS", "PROBE_LOOKS", "PROBE_MISSES", "PROBE_TIMEOUT_SECONDS")

Template = Mapping[str, Any]


class WorstCase(NamedTuple):
    """Seconds until clients reach the region that took over, after the other one died."""

    to_secondary: int
    to_primary: int


class Recovery(NamedTuple):
    """`straight`: every part takes as long as it may. `worst`: and what has payments accepted fails once, as
    late as it can, and is tried again.
    """

    straight: WorstCase
    worst: WorstCase
    automatic: bool

    @property
    def told(self) -> str:
        start = "" if self.automatic else "once somebody has started it, "
        return (
            f"recovery: {start}at most {self.worst.to_secondary} s to the secondary and"
            f" {self.worst.to_primary} s to the primary; {self.straight.to_secondary} s and"
            f" {self.straight.to_primary} s when nothing has to be tried again"
        )


def in_time(texts: Mapping[str, str], settings: Settings) -> Recovery:
    """Raises BuildError when that is more than the objective: no build promises what it cannot keep."""
    templates = {name: decode(text) for name, text in texts.items() if name in _READ}
    found = recovery(templates, automatic=settings.failover.automatic)
    problems = tuple(_missed(found.worst, settings.objectives.rto_minutes))
    if problems:
        raise BuildError(*problems)
    return found


def recovery(templates: Mapping[str, Template], *, automatic: bool) -> Recovery:
    """Where a person decides, it is counted from the moment that somebody starts the plan.

    Raises BuildError when a part without which nothing recovers is missing.
    """
    dns, plan = _dns(templates["service"]), _plan(templates)
    straight = [step.accepts for step in plan]
    worst = [step.accepts + step.again for step in plan]
    if automatic:
        # What decides fences by itself; what it cannot do, the plan that it starts does.
        noticed, decided = _noticed(templates), _decided(templates["service"])
        worst = [noticed + decided.accepts + max(decided.again, seconds) for seconds in worst]
        straight = [noticed + decided.accepts for _ in plan]
    return Recovery(straight=_both(dns, *straight), worst=_both(dns, *worst), automatic=automatic)


def _missed(worst: WorstCase, rto_minutes: int) -> Iterator[Problem]:
    for direction, seconds in worst._asdict().items():
        if seconds > rto_minutes * 60:
            yield Problem(
                "service.json",
                f"recovery {direction.replace('_', ' the ')} takes {seconds} s at worst, the objective is"
                f" {rto_minutes * 60} s",
                "check more often, or raise objectives.rto_minutes",
            )


class _Dns(NamedTuple):
    """How long the record takes to follow the primary's health, either way, and what resolvers remember."""

    turns: int
    remembered: int


class _Step(NamedTuple):
    """From its start until payments are accepted, and what it adds when it fails once."""

    accepts: int
    again: int


def _both(dns: _Dns, to_primary: int, to_secondary: int) -> WorstCase:
    """The secondary's record has no health check: whoever comes early is answered 503, and comes again."""
    return WorstCase(
        to_secondary=max(to_secondary, dns.turns + dns.remembered),
        to_primary=to_primary + dns.turns + dns.remembered,
    )


def _dns(service: Template) -> _Dns:
    checks = [check["HealthCheckConfig"] for check in _of(service, "AWS::Route53::HealthCheck").values()]
    lifetimes = [
        ALIAS_TTL_SECONDS if "AliasTarget" in record else int(record["TTL"])
        for record in _records(service)
        if "Failover" in record
    ]
    if not checks or not lifetimes:
        missing = "AWS::Route53::HealthCheck" if not checks else "failover record"
        raise _missing("service", missing, "nothing leads clients to the other region")
    turns = max(int(check["RequestInterval"]) * int(check["FailureThreshold"]) for check in checks)
    return _Dns(turns=turns + CHECK_TIMEOUT_SECONDS, remembered=max(lifetimes))


def _noticed(templates: Mapping[str, Template]) -> int:
    """Until both votes have rung their alarms. Both must, so the slowest of each counts."""
    probed = max(_probed(templates, name) for name in ("service", "witness"))
    alarms = [a for a in _of(templates["service"], "AWS::CloudWatch::Alarm").values() if _counts_votes(a)]
    if not alarms:
        raise _missing("service", f"alarm on {VOTE}", "no vote of a probe is counted")
    rings = max(
        int(alarm["Period"]) * int(alarm["EvaluationPeriods"])
        + (QUICK_ALARM_SECONDS if int(alarm["Period"]) < 60 else ALARM_SECONDS)
        for alarm in alarms
    )
    return probed + rings


def _probed(templates: Mapping[str, Template], name: str) -> int:
    """Until a probe has missed the region as often as it must, and said so."""
    template = templates.get(name, {"Resources": {}})
    probes = _probes(template)
    if not probes:
        raise _missing(name, "probe", "nobody notices that the active region is gone")
    return max(
        probe.seconds(_rate_seconds(name, template, title)) + REQUEST_SECONDS
        for title, probe in probes.items()
    )


class _Probe(NamedTuple):
    """As its environment says, in this order: _PROBE_VARIABLES."""

    interval: int
    looks: int
    misses: int
    timeout: int

    def seconds(self, rate: int) -> int:
        """Until it has missed as often as it must, after a region died just after it had been seen.

        Or just when a run is left with too few looks: then the next one does them all.
        """
        within_a_run = self.interval * self.misses
        next_run = rate + SCHEDULE_LATENESS_SECONDS + COLD_START_SECONDS
        left_behind = self.interval * (self.looks - self.misses)
        return max(within_a_run, next_run + within_a_run - self.interval - left_behind) + self.timeout


def _probes(template: Template) -> dict[str, _Probe]:
    found = {}
    for title, function in _of(template, "AWS::Lambda::Function").items():
        variables = function.get("Environment", {}).get("Variables", {})
        if all(variable in variables for variable in _PROBE_VARIABLES):
            found[title] = _Probe(*(int(variables[variable]) for variable in _PROBE_VARIABLES))
    return found


def _rate_seconds(name: str, template: Template, function: str) -> int:
    for schedule in _of(template, "AWS::Scheduler::Schedule").values():
        if schedule["Target"]["Arn"] == {"Fn::GetAtt": [function, "Arn"]}:
            rate = re.fullmatch(r"rate\((\d+) minutes?\)", schedule["ScheduleExpression"])
            if rate:
                return 60 * int(rate[1])
    raise _missing(name, f"schedule that starts {function} at a rate", "nobody looks")


def _decided(service: Template) -> _Step:
    """From the second alarm on."""
    functions = _of(service, "AWS::Lambda::Function")
    deciding = [
        title
        for alarm in _of(service, "AWS::CloudWatch::CompositeAlarm").values()
        for action in alarm.get("AlarmActions", [])
        for title in functions
        if action == {"Fn::GetAtt": [title, "Arn"]}
    ]
    if not deciding:
        raise _missing("service", "composite alarm that starts a function", "nobody starts the plan")
    (title,) = deciding
    for events in _of(service, "AWS::Lambda::EventInvokeConfig").values():
        if events["FunctionName"] == {"Ref": title} and events.get("MaximumRetryAttempts") == 0:
            raise _missing("service", f"second try of {title}", "nobody decides when the first one fails")
    return _Step(
        accepts=HANDOVER_SECONDS + COLD_START_SECONDS + REQUEST_SECONDS + _FENCING_SECONDS,
        again=int(functions[title]["Timeout"]) + SECOND_TRY_SECONDS,
    )


def _plan(templates: Mapping[str, Template]) -> tuple[_Step, _Step]:
    """Towards the primary, towards the secondary."""
    plans = list(_of(templates["root"], "AWS::ARCRegionSwitch::Plan").values())
    if not plans:
        raise _missing("root", "AWS::ARCRegionSwitch::Plan", "no region takes over")
    plan = plans[0]
    primary = plan["PrimaryRegion"]
    secondary = next(region for region in plan["Regions"] if region != primary)
    workflows = {workflow["WorkflowTargetRegion"]: workflow["Steps"] for workflow in plan["Workflows"]}
    return _step(templates, workflows, primary), _step(templates, workflows, secondary)


def _step(templates: Mapping[str, Template], workflows: Mapping[str, Any], region: str) -> _Step:
    """What stands before that step may take as long as it is allowed to."""
    before = 0
    for step in workflows.get(region, []):
        (block,) = step["ExecutionBlockConfiguration"].values()
        if step["Name"] != ACCEPTING_STEP:
            before += 60 * int(block["TimeoutMinutes"])
            continue
        title = f"{ACCEPTING_STEP.capitalize()}Function"
        function = templates["service"]["Resources"].get(title)
        if function is None:
            raise _missing("service", title, "the plan has nothing to invoke")
        accepts = HANDOVER_SECONDS + COLD_START_SECONDS + _FENCING_SECONDS
        again = int(function["Properties"]["Timeout"]) + round(60 * float(block["RetryIntervalMinutes"]))
        return _Step(accepts=before + accepts, again=again)
    raise _missing("root", f"step {ACCEPTING_STEP} for {region}", "no payment is accepted there")


def _counts_votes(alarm: Mapping[str, Any]) -> bool:
    return bool(alarm.get("MetricName") == VOTE)


def _missing(name: str, what: str, without: str) -> BuildError:
    return BuildError(Problem(f"{name}.json", f"has no {what}", f"without one {without}"))


def _of(template: Template, kind: str) -> dict[str, Mapping[str, Any]]:
    return {
        title: resource["Properties"]
        for title, resource in template["Resources"].items()
        if resource["Type"] == kind
    }


def _records(template: Template) -> Iterator[Mapping[str, Any]]:
    yield from _of(template, "AWS::Route53::RecordSet").values()
    for group in _of(template, "AWS::Route53::RecordSetGroup").values():
        yield from group["RecordSets"]
