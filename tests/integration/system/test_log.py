"""The transaction log: shipped by the standby, copied to the other region, verified in both."""

import json
import os
import subprocess
import sys
from typing import Any

from adapters.log_segments import PREFIX
from lab import environment
from payments.transaction_log import decompressed
from templates.names import Names, Place
from tests.integration.system.deployment import Client, System, eventually

PLACES: tuple[Place, Place] = ("primary", "secondary")


def names(system: System) -> Names:
    return Names("payments", "lab", system.plan.domain)


def ship(system: System, region: str) -> dict[str, Any]:
    """A run beside those of the schedule, which may be at work at the same time."""
    place = PLACES[system.regions.index(region)]
    answer = system.aws("lambda", region).invoke(FunctionName=names(system).regional("ship", place))
    result: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, result
    return result


def logged(system: System, region: str, component: str) -> str:
    """Every line of the log in a bucket."""
    place = PLACES[system.regions.index(region)]
    bucket, s3 = names(system).bucket(component, place), system.aws("s3", region)
    found = s3.list_objects_v2(Bucket=bucket, Prefix=PREFIX).get("Contents", ())
    bodies = (s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found)
    return "".join(decompressed(body).decode() for body in bodies)


def shipped(system: System, payment_id: str) -> bool | None:
    """By this run, or by one of the schedule that came first."""
    ship(system, system.secondary)
    return payment_id in logged(system, system.secondary, "transactions") or None


def verify(system: System, region: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "ops", "--environment", "lab", "log", "verify", "--json", "--region", region],
        cwd=system.workspace,
        env=environment.for_child(system.plan, os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_payment_is_logged_by_the_standby_and_the_chain_is_whole_in_both_regions(
    system: System, client: Client
) -> None:
    payment_id = client.pay(amount=7_700).json()["payment_id"]
    assert ship(system, system.primary)["stopped"] == "not-standby"

    eventually(lambda: shipped(system, payment_id), f"{payment_id} in the log of {system.secondary}")
    eventually(
        lambda: payment_id in logged(system, system.primary, "received") or None,
        f"{payment_id} in the log that {system.primary} received",
    )
    assert logged(system, system.primary, "transactions") == ""
    for region in system.regions:
        code, document, errors = verify(system, region)
        assert (code, document["broken"], errors) == (0, None, "")
        assert document["last"] >= 1
        assert document["head"]["segment"] >= document["last"]
    counted = system.query(system.primary, "SELECT count(*) FROM ledger.payment")[0][0]
    assert counted >= document["payments"] >= 1


def test_a_segment_that_somebody_put_over_is_named(system: System, client: Client) -> None:
    payment_id = client.pay().json()["payment_id"]
    eventually(lambda: shipped(system, payment_id), f"{payment_id} in the log")
    bucket, s3 = names(system).bucket("transactions", "secondary"), system.aws("s3", system.secondary)
    last = s3.list_objects_v2(Bucket=bucket, Prefix=PREFIX)["Contents"][-1]["Key"]
    forged = s3.put_object(Bucket=bucket, Key=last, Body=b"forged")["VersionId"]
    try:
        code, document, errors = verify(system, system.secondary)
    finally:  # a test environment locks nothing by default
        s3.delete_object(Bucket=bucket, Key=last, VersionId=forged)
    assert code == 1
    assert forged in document["broken"]["where"]
    assert f"segment {document['broken']['segment']} in s3://{bucket}/{last}" in errors
    assert verify(system, system.secondary)[0] == 0
