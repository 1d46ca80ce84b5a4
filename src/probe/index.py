"""Asks every few seconds whether the active region can be reached; three times in a row not: votes so.

One text for all three regions. Without the control record there is no vote: unknown is never taken for no.
A look that fails ends no run; a run of such looks fails.
"""

import os
import time
from functools import cache
from http.client import HTTPException
from typing import Any
from urllib.request import urlopen

import boto3
from botocore.config import Config

_BRIEF = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
_MINUTE = 60


class Probe:
    def __init__(self, env: Any, client: Any, open_url: Any) -> None:
        self._env, self._client, self._open = env, client, open_url
        self._hosts = dict(pair.split("=") for pair in env["HOSTS"].split(","))
        self._active, self._missed, self._said = "", list[float](), 0.0

    def look(self, now: float) -> None:
        active = self._find()
        if active != self._active:
            self._active, self._missed, self._said = active, [], 0.0
        host = self._hosts.get(active)
        if host is None or self._healthy(host):
            missed, self._missed = self._missed, []
            # A metric silent for long is new to CloudWatch, which takes minutes.
            if host and (missed or now - self._said >= _MINUTE):
                self._vote(active, 0)
                self._said = now
            return
        self._missed = [*(at for at in self._missed if now - at < _MINUTE), now]
        if len(self._missed) >= int(self._env["PROBE_MISSES"]):
            self._vote(active, 1)

    def _find(self) -> str:
        """The replica of a region that may be gone comes last."""
        table, key = self._env["CONTROL_TABLE"], {"id": {"S": "control"}}
        for region in sorted(self._env["REPLICAS"].split(","), key=lambda name: name == self._active):
            try:
                dynamodb = self._client("dynamodb", region)
                answer = dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)
                return str(answer["Item"]["active"]["S"])
            except Exception as error:  # noqa: BLE001 - the other may know
                failed = error
        raise failed

    def _healthy(self, host: str) -> bool:
        """Anything but 200 in time, from whom the certificate names, is a miss."""
        seconds = float(self._env["PROBE_TIMEOUT_SECONDS"])
        try:
            with self._open(f"https://{host}/health", timeout=seconds) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False

    def _vote(self, about: str, value: int) -> None:
        """Where somebody listens: not in the region that may be gone."""
        env, said = self._env, {"Region": about, "Voter": self._env["VOTER"]}
        named = [{"Name": name, "Value": said[name]} for name in said]
        datum = {"MetricName": "ActiveRegionUnreachable", "Dimensions": named, "Value": value}
        data = [{**datum, "StorageResolution": 1}]
        for region in set(env["VOTE_REGIONS"].split(",")) - {about}:
            self._client("cloudwatch", region).put_metric_data(Namespace=env["NAMESPACE"], MetricData=data)


def run(probe: Probe, looks: int, every: float, clock: Any = time) -> dict[str, Any]:
    began, failed = clock.monotonic(), []
    for number in range(looks):
        clock.sleep(max(0.0, began + number * every - clock.monotonic()))
        try:
            probe.look(clock.time())
        except Exception as error:  # noqa: BLE001 - the next may not
            failed.append(f"{type(error).__name__}: {error}")
    if len(failed) == looks:
        raise RuntimeError(failed[-1])
    return {"failed": failed}


@cache
def _client(service: Any, region: str) -> Any:
    return boto3.client(service, region, config=_BRIEF)


_probe = cache(lambda: Probe(os.environ, _client, urlopen))


def handle(*_: Any) -> dict[str, Any]:
    return run(_probe(), int(os.environ["PROBE_LOOKS"]), float(os.environ["PROBE_INTERVAL_SECONDS"]))
