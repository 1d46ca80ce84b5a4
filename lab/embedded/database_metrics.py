"""What RDS measures of the clusters: asked of the PostgreSQL servers behind them.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.AuroraMonitoring.Metrics.html
"""

import logging
import os
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from ministack.core.responses import get_account_id, request_scope
from ministack.services import rds

from lab.embedded import deliveries, metrics
from lab.embedded.handlers import Handlers
from lab.embedded.rds_parameters import DATABASE
from lab.plan import PLAN_VARIABLE, LabPlan, RegionPlan, read_plan
from lab.postgres import REPLICATOR, SUPERUSER
from lab.processes import read_records

# Late while the writer has log that is not replayed, or, where that is not known, while something received is
# not, or nothing is received; a quiet ledger is not late.
_MEASURED = """
SELECT
  (SELECT count(*) FROM pg_stat_activity
   WHERE backend_type = 'client backend' AND usename NOT IN (%s, %s)),
  CASE WHEN NOT pg_is_in_recovery() THEN NULL
       WHEN pg_last_wal_replay_lsn() >= coalesce(%s::pg_lsn, pg_last_wal_receive_lsn())
            AND EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming') THEN 0
       ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) * 1000
  END::float8
"""
_WRITTEN = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn()::text END"
Value = tuple[str, float, str]


def register(_: Handlers) -> None:
    deliveries.add(Measuring(read_plan(Path(os.environ[PLAN_VARIABLE]))))


@dataclass
class Measuring:
    """Twice between two looks of the alarms; one server that hangs does not hold up anybody else."""

    plan: LabPlan
    _used: dict[str, tuple[float, float]] = field(default_factory=dict)  # processor seconds, and when
    _last: float = 0.0
    _running: Future[None] | None = None
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "database-metrics"))

    def __call__(self) -> None:
        due = time.monotonic() - self._last >= self.plan.scaled(self.plan.alarm_seconds) / 2
        if not due or (self._running and not self._running.done()):
            return
        self._last = time.monotonic()
        self._running = self._threads.submit(self.measure_all)

    def measure_all(self) -> None:
        for region in self.plan.data_regions:
            with request_scope(get_account_id(), region.name):
                for cluster in list(rds._clusters.values()):
                    if not cluster.get("DBClusterMembers") or DATABASE in cluster:
                        continue
                    dimensions = {"DBClusterIdentifier": str(cluster["DBClusterIdentifier"])}
                    for name, value, unit in self._of(region, cluster):
                        metrics.record("AWS/RDS", name, value, unit, dimensions)

    def _of(self, region: RegionPlan, cluster: dict[str, Any]) -> Iterator[Value]:
        try:
            connections, lag = self._ask(region, self._written(cluster))
        except (psycopg.Error, OSError) as error:
            logging.getLogger(__name__).info("%s is not measured: %s", region.name, error)
            return  # on AWS the metrics of a dead database stop as well
        yield "DatabaseConnections", connections, "Count"
        if lag is not None:
            yield "AuroraGlobalDBReplicationLag", lag, "Milliseconds"
        if (busy := self._busy(region.name)) is not None:
            yield "CPUUtilization", busy, "Percent"
        capacity = cluster.get("ServerlessV2ScalingConfiguration") or {}
        if capacity:
            # The server never grows: it counts as what the cluster has at least.
            least, most = float(capacity["MinCapacity"]), float(capacity["MaxCapacity"])
            yield "ServerlessDatabaseCapacity", least, "Count"
            yield "ACUUtilization", 100 * least / most, "Percent"

    def _written(self, cluster: dict[str, Any]) -> str | None:
        """How far the log of its global cluster's writer goes; None while that does not say."""
        writer = rds._global_cluster_writer_cluster(
            rds._global_clusters.get(cluster.get("GlobalClusterIdentifier")) or {}
        )
        if writer is None or writer is cluster:
            return None
        region = self.plan.regions[str(writer["DBClusterArn"]).split(":")[3]]
        try:
            with closing(self._connect(region)) as connection:
                row = connection.execute(_WRITTEN).fetchone()
        except (psycopg.Error, OSError):
            return None
        return row[0] if row else None

    def _ask(self, region: RegionPlan, written: str | None) -> tuple[int, float | None]:
        with closing(self._connect(region)) as connection:
            row = connection.execute(_MEASURED, (SUPERUSER, REPLICATOR, written)).fetchone()
        if row is None:
            raise psycopg.DataError("no row")
        return row[0], row[1]

    def _connect(self, region: RegionPlan) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=region.address,
            port=region.postgres_server_port,
            user=SUPERUSER,
            password=self.plan.superuser_password_file.read_text(),
            dbname="postgres",
            connect_timeout=2,
        )

    def _busy(self, region: str) -> float | None:
        """By the server and all its processes since the last look; percent of this machine."""
        records = [one for one in read_records(self.plan.processes_file) if one.name == f"postgres {region}"]
        server = records[-1].running() if records else None
        if server is None:
            return None
        several = [server, *server.children(recursive=True)]
        used = 0.0
        for process in several:
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue  # it ended meanwhile
            used += times.user + times.system
        now = time.monotonic()
        before, then = self._used.get(region, (used, now))
        self._used[region] = used, now
        if now <= then:
            return None
        return max(0.0, 100 * (used - before) / (now - then) / (psutil.cpu_count() or 1))
