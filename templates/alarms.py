"""What wakes somebody up: the alarms of one region, each about that region and told in that region."""

from collections.abc import Iterable, Sequence
from functools import partial

from troposphere import And, Condition, Equals, Ref, Select, Split, Template

from templates import metrics
from templates.api import OPERATIONS
from templates.config import Settings
from templates.dead_letters import QUEUE
from templates.functions import FunctionPlan
from templates.monitoring import (
    ALWAYS_IGNORED,
    NOT_MEASURED_HERE,
    NOTHING_HAPPENED,
    PERIOD_SECONDS,
    SILENCE_IS_TROUBLE,
    AlarmPlan,
    total,
)
from templates.names import Place
from templates.network import NAT_GATEWAY_IDS
from templates.places import IS_PRIMARY, here, lookup, peer
from templates.policies import Value
from templates.schedules import Timer
from templates.sites import Site, data_site
from templates.tables import TABLES
from templates.transactions import REPLICATION_RULE

HEALTH_METRICS_REGION = "us-east-1"
HEALTH_IS_MEASURED = "HealthIsMeasured"
# At a hundred payments a second, which is what settles within two minutes.
_MANY_OPEN = 10_000
_TAKE_OVER = frozenset({"decide", "fence", "recover", "finish"})
# CloudWatch looks back a week where a period is an hour or more; two rehearsals are half a day.
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
_MISSED_STARTS, _MISSED_REHEARSALS = 5, 2
# At least as long as what is watched is silent in between: an alarm over less would be over in a minute.
_MINUTE, _QUARTER, _HOUR = PERIOD_SECONDS, 15 * 60, 60 * 60


def alarms(
    settings: Settings, functions: Sequence[FunctionPlan], timers: Sequence[Timer], health_check: Value
) -> list[AlarmPlan]:
    started = [*functions, *(timer.plan for timer in timers)]
    return [
        *_api(settings),
        *(alarm for function in started for alarm in _function(function)),
        *(_idle(timer) for timer in timers),
        *_mistakes(settings, [plan.title.lower() for plan in started if _counts(plan)]),
        *_workers(settings),
        _dead_letters(data_site(settings)),
        *_ledger(settings),
        *_transaction_log(settings),
        *_tables(settings),
        *_network(settings),
        _health(settings, health_check),
    ]


def witness_alarms(site: Site, timer: Timer) -> list[AlarmPlan]:
    """Whether it can vote; what it votes on, the region that would take over is told."""
    return [*_function(timer.plan), _idle(timer), _dead_letters(site)]


def names_in(settings: Settings, plans: Iterable[AlarmPlan], place: Place) -> list[str]:
    """What the alarms of that place are called."""
    measured = place == "primary" and settings.regions.primary == HEALTH_METRICS_REGION
    return [settings.names.regional(plan.component, place) for plan in plans if plan.only is None or measured]


def add_health_condition(template: Template) -> None:
    """Route 53 measures in one region only, and only the primary region's stack has the health check. With
    the primary elsewhere nobody has this alarm; recovery never needs it.
    """
    template.add_condition(
        HEALTH_IS_MEASURED,
        And(Condition(IS_PRIMARY), Equals(Ref("AWS::Region"), HEALTH_METRICS_REGION)),
    )


def _api(settings: Settings) -> Iterable[AlarmPlan]:
    name = here(partial(settings.names.regional, "api"))
    yield AlarmPlan(
        title="FailedRequests",
        component="failed-requests",
        meaning="More than 1 % of the clients' requests end in a 5xx: their outcome is unknown to them.",
        watches=metrics.failed_requests(name),
        limit=1,
        periods=3,
        missing=NOTHING_HAPPENED,
    )
    yield AlarmPlan(
        title="SlowPayments",
        component="slow-payments",
        meaning="One payment in a hundred takes longer than 3 s (milliseconds).",
        watches=metrics.operation(name, OPERATIONS[0], "Latency", "p99"),
        limit=3000,
        periods=5,
        missing=NOTHING_HAPPENED,
    )
    yield AlarmPlan(
        title="LedgerUnreachable",
        component="ledger-unreachable",
        meaning="Payments are accepted, but the ledger does not take them: they wait in the journal.",
        watches=metrics.counted(settings.names.metrics, "api", "LedgerUnreachable"),
        limit=0,
        periods=3,
        missing=NOTHING_HAPPENED,
    )


def _function(plan: FunctionPlan) -> Iterable[AlarmPlan]:
    component = plan.title.lower()
    for title, metric, statistic, limit, meaning in (
        ("Errors", "Errors", "Sum", 0, "ended without an answer: a mistake, no memory or no time left"),
        ("Throttles", "Throttles", "Sum", 0, "was not started: the account's concurrency is used up"),
        (
            "Duration",
            "Duration",
            "Maximum",
            1000 * plan.slow_seconds,
            f"took more than {plan.slow_seconds} of its {plan.timeout_seconds} s (milliseconds)",
        ),
    ):
        yield AlarmPlan(
            title=f"{plan.title}Function{title}",
            component=f"{component}-function-{title.lower()}",
            meaning=f"The function {component} {meaning}.",
            watches=metrics.function(plan.name, metric, statistic),
            limit=limit,
            periods=1,
            missing=NOTHING_HAPPENED,
        )


def _idle(timer: Timer) -> AlarmPlan:
    """Everything else these functions have to say, they say when they run."""
    component = timer.plan.title.lower()
    return AlarmPlan(
        title=f"{timer.plan.title}FunctionIdle",
        component=f"{component}-function-idle",
        meaning=f"The function {component} is not started any more.",
        watches=metrics.function(timer.plan.name, "Invocations", "Sum"),
        limit=1,
        periods=_MISSED_REHEARSALS if timer.rehearses else _MISSED_STARTS,
        missing=SILENCE_IS_TROUBLE,
        below=True,
        period_seconds=timer.every_seconds,
    )


def _counts(plan: FunctionPlan) -> bool:
    """What has no packages of ours fails instead."""
    return "POWERTOOLS_SERVICE_NAME" in plan.environment


def _mistakes(settings: Settings, components: Sequence[str]) -> Iterable[AlarmPlan]:
    """One alarm adds ten metrics up at most; what takes a region over has one of its own."""
    taking_over = [component for component in components if component in _TAKE_OVER]
    others = [component for component in components if component not in _TAKE_OVER]
    for title, name, about, of in (
        ("Mistakes", "mistakes", "A function", others),
        ("TakeoverMistakes", "takeover-mistakes", "A function that takes the region over", taking_over),
    ):
        yield AlarmPlan(
            title=title,
            component=name,
            meaning=f"{about} found what cannot be: its log says what.",
            watches=total([metrics.counted(settings.names.metrics, one, "Mistake") for one in of]),
            limit=0,
            periods=1,
            missing=NOT_MEASURED_HERE,
        )


def _workers(settings: Settings) -> Iterable[AlarmPlan]:
    """What is reported in one of the two regions only: by the active one, or by the standby."""
    reported = partial(metrics.reported, settings.names.metrics)
    for title, component, meaning, watches, limit, periods, period_seconds in (
        (
            "OpenEntries",
            "open-entries",
            f"More than {_MANY_OPEN:,} payments are not known to be in both databases: nothing settles them.",
            reported("sweep", "OpenEntries"),
            _MANY_OPEN,
            10,
            _MINUTE,
        ),
        (
            "OldestOpenEntry",
            "oldest-open-entry",
            "A payment is not in both databases 10 minutes after it was accepted (seconds).",
            reported("sweep", "OldestOpenEntryAge"),
            600,
            3,
            _MINUTE,
        ),
        (
            "Differences",
            "differences",
            "Journal and ledger differ: the log of the function audit names every payment.",
            reported("audit", "Differences"),
            0,
            1,
            _HOUR,
        ),
        (
            "AuditAge",
            "audit-age",
            "The last complete comparison of journal and ledger is more than 26 hours old (hours).",
            reported("audit", "AuditAge"),
            26,
            1,
            _HOUR,
        ),
        (
            "LogAge",
            "log-age",
            "A payment is not in the transaction log an hour after it was posted (seconds).",
            reported("ship", "LogAge"),
            3600,
            1,
            _QUARTER,
        ),
    ):
        yield AlarmPlan(
            title=title,
            component=component,
            meaning=meaning,
            watches=watches,
            limit=limit,
            periods=periods,
            missing=NOT_MEASURED_HERE,
            period_seconds=period_seconds,
        )


def _dead_letters(site: Site) -> AlarmPlan:
    return AlarmPlan(
        title="DeadLetters",
        component="dead-letters",
        meaning="A function could not be started, or failed: the queue of dead letters says which and why.",
        watches=metrics.waiting(site.name(QUEUE)),
        limit=0,
        periods=1,
        missing=NOTHING_HAPPENED,
    )


def _ledger(settings: Settings) -> Iterable[AlarmPlan]:
    cluster = here(partial(settings.names.regional, "ledger"))
    yield AlarmPlan(
        title="LedgerLag",
        component="ledger-lag",
        meaning="This region's copy of the ledger is more than 5 s behind the writer (milliseconds).",
        watches=metrics.ledger_lag(cluster, lookup("PeerRegion")),
        limit=5000,
        periods=5,
        missing=NOT_MEASURED_HERE,
    )
    yield AlarmPlan(
        title="LedgerCapacity",
        component="ledger-capacity",
        meaning="The database uses more than 90 % of what it may grow to: raise database.max_capacity.",
        watches=metrics.cluster(cluster, "ACUUtilization", "Maximum"),
        limit=90,
        periods=5,
        missing=SILENCE_IS_TROUBLE,
    )
    yield AlarmPlan(
        title="LedgerProcessor",
        component="ledger-processor",
        meaning="The database's processors are more than 90 % busy.",
        watches=metrics.cluster(cluster, "CPUUtilization", "Maximum"),
        limit=90,
        periods=10,
        missing=SILENCE_IS_TROUBLE,
    )
    yield AlarmPlan(
        title="LedgerConnections",
        component="ledger-connections",
        meaning="The database has more than 80 % of the connections it takes.",
        watches=metrics.cluster(cluster, "DatabaseConnections", "Maximum"),
        limit=_most_connections(settings) * 80 // 100,
        periods=5,
        missing=SILENCE_IS_TROUBLE,
    )


def _most_connections(settings: Settings) -> int:
    """As many as the capacity it may grow to holds; small instances take fewer, however far they may grow.

    https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
    """
    smallest, largest = settings.database.min_capacity, settings.database.max_capacity
    held = min(int(189 * largest), 5000)
    return min(held, 2000) if smallest <= 0.5 else held


def _transaction_log(settings: Settings) -> Iterable[AlarmPlan]:
    """Both ends: how far behind what arrives here is, and what did not leave from here."""
    names = settings.names
    arriving = partial(
        metrics.log_replication,
        peer(partial(names.bucket, "transactions")),
        here(partial(names.bucket, "received")),
        REPLICATION_RULE,
    )
    leaving = partial(
        metrics.log_replication,
        here(partial(names.bucket, "transactions")),
        peer(partial(names.bucket, "received")),
        REPLICATION_RULE,
    )
    late = settings.objectives.rpo_minutes * 60 // 3
    for title, watches, limit, periods, meaning in (
        (
            "Latency",
            arriving("ReplicationLatency", "Maximum"),
            late,
            5,
            f"arrives more than {late} s late, a third of the recovery point objective",
        ),
        ("Bytes", arriving("BytesPendingReplication", "Maximum"), 100_000_000, 10, "piles up: 100 MB wait"),
        ("Operations", arriving("OperationsPendingReplication", "Maximum"), 100, 10, "piles up: 100 wait"),
        ("Failures", leaving("OperationsFailedReplication", "Sum"), 0, 1, "was not copied and will not be"),
    ):
        yield AlarmPlan(
            title=f"Log{title}",
            component=f"log-{title.lower()}",
            meaning=f"The transaction log {meaning}.",
            watches=watches,
            limit=limit,
            periods=periods,
            missing=NOTHING_HAPPENED,
        )


def _tables(settings: Settings) -> Iterable[AlarmPlan]:
    for plan in TABLES:
        table = settings.names.shared(plan.name)
        yield AlarmPlan(
            title=f"{plan.name.capitalize()}Throttles",
            component=f"{plan.name}-throttles",
            meaning=f"DynamoDB turns requests to the table {plan.name} away.",
            watches=metrics.throttled(table, plan),
            limit=0,
            periods=2,
            missing=ALWAYS_IGNORED,
        )
        if not plan.strong:
            yield AlarmPlan(
                title=f"{plan.name.capitalize()}Lag",
                component=f"{plan.name}-lag",
                meaning=f"What is written to the table {plan.name} here reaches the other region after 10 s"
                " (milliseconds).",
                watches=metrics.replication_latency(table, lookup("PeerRegion")),
                limit=10_000,
                periods=5,
                missing=ALWAYS_IGNORED,
            )
    yield AlarmPlan(
        title="JournalLatency",
        component="journal-latency",
        meaning="One entry in a hundred takes longer than 1 s to be held by two regions (milliseconds).",
        watches=metrics.put_latency(settings.names.shared("journal")),
        limit=1000,
        periods=5,
        missing=ALWAYS_IGNORED,
    )


def _network(settings: Settings) -> Iterable[AlarmPlan]:
    gateways = Split(",", NAT_GATEWAY_IDS.read(settings.names))
    many = 3 if settings.network.nat_gateways == "per-zone" else 1
    yield AlarmPlan(
        title="NatPorts",
        component="nat-ports",
        meaning="A NAT gateway has no port left for another connection to one destination.",
        watches=metrics.ports_denied(Select(number, gateways) for number in range(many)),
        limit=0,
        periods=3,
        missing=NOTHING_HAPPENED,
    )


def _health(settings: Settings, check: Value) -> AlarmPlan:
    return AlarmPlan(
        title="Health",
        component="health",
        meaning="Route 53 finds the primary region unhealthy, and leads clients to the secondary.",
        watches=metrics.health(check),
        limit=1,
        periods=1,
        missing=SILENCE_IS_TROUBLE,
        below=True,
        only=(settings.names.regional("health", "primary"), HEALTH_IS_MEASURED),
    )
