"""What has to be so before a first deployment, and still before a drill: each thing yes, no, or not known."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from failover.planner import Unknown


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"  # which is not "no", and not "yes" either


@dataclass(frozen=True, slots=True)
class Check:
    """`region` is None where it is about the account; `todo` is empty where nothing is to be done."""

    name: str
    region: str | None
    answer: Answer
    what: str
    todo: str = ""

    @property
    def text(self) -> str:
        told = f"{self.answer:<8} {self.name:<17} {self.region or 'account':<10} {self.what}"
        return f"{told}; {self.todo}" if self.todo else told


@dataclass(frozen=True, slots=True)
class Question:
    """`ask` answers with the judged check. `todo` is for whoever gets no answer."""

    name: str
    region: str | None
    ask: Callable[[], Check]
    todo: str = "look at the network and at what these credentials may do, and ask again"


def yes(name: str, region: str | None, what: str) -> Check:
    return Check(name, region, Answer.YES, what)


def no(name: str, region: str | None, what: str, todo: str) -> Check:
    return Check(name, region, Answer.NO, what, todo)


def unknown(name: str, region: str | None, what: str, todo: str) -> Check:
    return Check(name, region, Answer.UNKNOWN, what, todo)


def judged(question: Question, answer: Check | Unknown) -> Check:
    if isinstance(answer, Unknown):
        return unknown(question.name, question.region, answer.why, question.todo)
    return answer


# --- what the answers mean ---


def regions_enabled(wanted: Sequence[str], statuses: Mapping[str, str]) -> Check:
    """`statuses` are EC2's, by region."""
    usable = {"opt-in-not-required", "opted-in"}
    missing = [region for region in wanted if statuses.get(region) not in usable]
    if missing:
        todo = "enable it in the account's settings, which takes minutes, or choose others in deployment.toml"
        return no("regions", None, f"not enabled: {', '.join(missing)}", todo)
    return yes("regions", None, f"enabled: {', '.join(wanted)}")


def room(name: str, region: str, *, limit: float, used: int, needed: int) -> Check:
    """Whether what the build needs still fits into a quota."""
    what = f"{used} of {limit:.0f} used, {needed} more needed"
    if used + needed > limit:
        return no(name, region, what, "ask Service Quotas for more, which may take days, or release some")
    return yes(name, region, what)


LEAST_CONCURRENCY: Final = 100  # Lambda wants as much to be unreserved; below, a new account's ten throttle


def concurrency(limits: Mapping[str, int]) -> Check:
    """The standby carries the whole load at once, so its region has to allow as much as the other."""
    what = ", ".join(f"{limit} in {region}" for region, limit in limits.items())
    todo = 'ask Service Quotas for more "Concurrent executions" in each region that has less'
    if len(set(limits.values())) > 1:
        return no("lambda", None, f"functions at a time differ: {what}", todo)
    if min(limits.values()) < LEAST_CONCURRENCY:
        return no("lambda", None, f"functions at a time: {what}, fewer than {LEAST_CONCURRENCY}", todo)
    return yes("lambda", None, f"functions at a time: {what}")


def delegated(domain: str, zone: Iterable[str], public: Iterable[str]) -> Check:
    """`zone` are the hosted zone's name servers; `public` those that the domain has for everybody."""
    wanted, found = ({name.rstrip(".").lower() for name in names} for names in (zone, public))
    if not found:
        todo = f"at the registrar, or in the zone above, enter for {domain}: {' '.join(sorted(wanted))}"
        return no("delegation", None, f"nobody knows name servers of {domain}", todo)
    if found - wanted:
        others = " ".join(sorted(found - wanted))
        todo = f"replace them by {' '.join(sorted(wanted))}"
        return no("delegation", None, f"{domain} is delegated elsewhere: {others}", todo)
    return yes("delegation", None, f"{domain} is answered by its hosted zone")


# https://docs.aws.amazon.com/acm/latest/userguide/setup-caa.html
_ISSUERS: Final = frozenset({"amazon.com", "amazontrust.com", "awstrust.com", "amazonaws.com"})


def may_issue(domain: str, records: Mapping[str, Sequence[str]]) -> Check:
    """`records` are the CAA records from the domain upwards; the first name that has any decides."""
    for name, issuers in records.items():
        if issuers:
            if _ISSUERS & {issuer.partition(";")[0].strip() for issuer in issuers}:
                return yes("certificates", None, f"{name} lets Amazon issue them")
            todo = f'add to {name}: CAA 0 issue "amazon.com"'
            return no("certificates", None, f"{name} lets only {', '.join(issuers)} issue them", todo)
    return yes("certificates", None, f"nothing forbids Amazon to issue them for {domain}")


def names_free(region: str, template: str, taken: Sequence[str]) -> Check:
    if not taken:
        return yes("names", region, f"those of {template} are free")
    todo = "delete them, import them into the stack, or choose another service or environment"
    return no("names", region, f"{template}: there are already {'; '.join(taken)}", todo)


def engine_offered(region: str, version: str, *, offered: bool) -> Check:
    what = f"Aurora PostgreSQL {version} with serverless instances"
    if offered:
        return yes("database", region, f"{what} is offered")
    return no("database", region, f"{what} is not offered", "choose another database.engine_version")


# --- how they are shown ---


def document(checks: Sequence[Check]) -> dict[str, Any]:
    return {"ready": ready(checks), "checks": [asdict(check) for check in checks]}


def ready(checks: Sequence[Check]) -> bool:
    return all(check.answer is Answer.YES for check in checks)


def text(checks: Sequence[Check]) -> str:
    counted = {answer: sum(check.answer is answer for check in checks) for answer in Answer}
    summary = ", ".join(f"{count} {answer}" for answer, count in counted.items() if count)
    return "\n".join([*(check.text for check in checks), summary])
