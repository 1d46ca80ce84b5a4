"""The logs that clusters export: what PostgreSQL writes, in the log group of its cluster a second later.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.CloudWatch.html
"""

from collections.abc import Iterable

from ministack.core.responses import get_account_id, request_scope
from ministack.services import cloudwatch_logs, rds

from lab.embedded import deliveries
from lab.embedded.handlers import checked
from lab.embedded.rds_features import log_exports
from lab.embedded.rds_parameters import DATABASE
from lab.embedded.tails import Tail
from lab.plan import LabPlan
from lab.postgres import REPLICATOR, SUPERUSER

_OWN_ACCOUNTS = (SUPERUSER, REPLICATOR)


def install(plan: LabPlan) -> None:
    tails = {region.name: Tail(plan.logs / f"postgres-{region.name}.log") for region in plan.data_regions}

    def deliver_all() -> None:
        for region, tail in tails.items():
            lines = tail.new_lines()
            if lines:
                deliver(region, lines)

    deliveries.add(deliver_all)


def deliver(region: str, lines: Iterable[str]) -> None:
    """What is written while no cluster exports its log is nobody's."""
    with request_scope(get_account_id(), region):
        for cluster in rds._clusters.values():
            members = cluster["DBClusterMembers"]
            if "postgresql" not in log_exports(cluster) or not members or DATABASE in cluster:
                continue
            group = f"/aws/rds/cluster/{cluster['DBClusterIdentifier']}/postgresql"
            if group not in cloudwatch_logs._log_groups:
                checked(cloudwatch_logs._create_log_group({"logGroupName": group}))
            stream = f"{members[0]['DBInstanceIdentifier']}.0"
            deliveries.put_log_events(region, group, stream, records(lines))


def records(lines: Iterable[str]) -> list[str]:
    """A record goes on in the lines that begin with a tab. What the lab's own accounts did is left out."""
    found: list[str] = []
    for line in lines:
        if line.startswith("\t") and found:
            found[-1] += f"\n{line}"
        elif line:
            found.append(line)
    return [record for record in found if not any(f":{name}@" in record for name in _OWN_ACCOUNTS)]
