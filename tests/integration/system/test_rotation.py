"""Credentials are rotated while payments flow: nobody notices, and both regions know the new user."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from tests.integration.system.deployment import Client, System, eventually

APPLICATION, MIGRATOR = (f"payments/lab/database/{user}" for user in ("application", "migrator"))
_PATIENCE = 120.0  # seconds; several attempts
_THREADS, _PER_SECOND = 4, 10


@dataclass
class Traffic:
    """Payments at a steady rate, by independent clients; what each was answered."""

    system: System
    answers: list[tuple[int, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def flow(self) -> None:
        with Client(self.system, self.system.primary) as client:
            client.sign_in()
            while not self._stop.wait(_THREADS / _PER_SECOND):
                answer = client.pay(amount=1_000)
                self.answers.append((answer.status_code, answer.json().get("payment_id", answer.text)))

    @contextmanager
    def flowing(self) -> Iterator[None]:
        threads = [threading.Thread(target=self.flow) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        try:
            self.more()
            yield
            self.more()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def more(self) -> None:
        """Until some more were answered."""
        enough = len(self.answers) + 2 * _PER_SECOND
        eventually(lambda: len(self.answers) >= enough or None, "payments flow", _PATIENCE)


def secrets_manager(system: System, region: str) -> Any:
    return system.aws("secretsmanager", region)


def credentials(system: System, secret: str, region: str) -> dict[str, str]:
    value: dict[str, str] = json.loads(
        secrets_manager(system, region).get_secret_value(SecretId=secret)["SecretString"]
    )
    return value


def settled(system: System, secret: str) -> bool | None:
    """Whether no version is on its way to be current: not the one that tests a new schedule either."""
    labels = secrets_manager(system, system.primary).describe_secret(SecretId=secret)["VersionIdsToStages"]
    return True if all("AWSPENDING" not in held or "AWSCURRENT" in held for held in labels.values()) else None


def rotate(system: System, secret: str) -> str:
    eventually(lambda: settled(system, secret), f"{secret} is at rest", _PATIENCE)
    version: str = secrets_manager(system, system.primary).rotate_secret(SecretId=secret)["VersionId"]
    return version


def is_current(system: System, secret: str, version: str) -> bool | None:
    described = secrets_manager(system, system.primary).describe_secret(SecretId=secret)
    return True if "AWSCURRENT" in described["VersionIdsToStages"][version] else None


def logs_in(system: System, region: str, user: dict[str, str]) -> bool:
    where = system.status()["regions"][region]["postgres_dsn"]
    try:
        psycopg.connect(where, user=user["username"], password=user["password"]).close()
    except psycopg.OperationalError:
        return False
    return True


def cut_connections(system: System) -> int:
    """Whoever is connected as one of the application's users has to log in again, with what it remembers."""
    ((cut,),) = system.query(
        system.primary,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename LIKE %s",
        "ledger_application%",
    )
    return int(cut)


def test_the_application_s_user_changes_twice_and_no_payment_fails(system: System) -> None:
    traffic, seen = Traffic(system), [credentials(system, APPLICATION, system.primary)]
    with traffic.flowing():
        for _ in range(2):
            version = rotate(system, APPLICATION)
            eventually(lambda v=version: is_current(system, APPLICATION, v), "it is rotated", _PATIENCE)  # type: ignore[misc]
            seen.append(credentials(system, APPLICATION, system.primary))
            assert credentials(system, APPLICATION, system.secondary) == seen[-1]
            for region in system.regions:
                assert logs_in(system, region, seen[-1])
                assert logs_in(system, region, seen[-2])  # what somebody may still hold stays good
            traffic.more()
            # The second time some remember a password that is gone by then.
            assert cut_connections(system) > 0
            traffic.more()
    assert [user["username"] for user in seen] == [
        "ledger_application",
        "ledger_application_clone",
        "ledger_application",
    ]
    assert not logs_in(system, system.primary, seen[0])
    assert {status for status, _ in traffic.answers} == {201}
    posted = system.query(
        system.primary,
        "SELECT count(*) FROM ledger.payment WHERE payment_id = ANY(%s)",
        [payment_id for _, payment_id in traffic.answers],
    )
    assert posted == [(len(traffic.answers),)]


def test_the_migrator_gets_a_new_password_in_both_regions(system: System) -> None:
    old = credentials(system, MIGRATOR, system.primary)
    version = rotate(system, MIGRATOR)
    eventually(lambda: is_current(system, MIGRATOR, version), "it is rotated", _PATIENCE)
    new = credentials(system, MIGRATOR, system.secondary)
    assert new["username"] == old["username"] == "ledger_migrator"
    for region in system.regions:
        assert logs_in(system, region, new)
        assert not logs_in(system, region, old)


@pytest.fixture
def no_way_to_the_secondary(system: System) -> Iterator[Any]:
    """Its database does not let the peer's network in. What is yielded opens it again."""
    ec2 = system.aws("ec2", system.secondary)
    (group,) = (
        found
        for found in ec2.describe_security_groups()["SecurityGroups"]
        if found["Description"] == "The database"
    )
    (rule,) = (rule for rule in group["IpPermissions"] if rule.get("IpRanges"))
    permission = {name: value for name, value in rule.items() if name != "UserIdGroupPairs"}
    closed = True
    ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[permission])

    def open_again() -> None:
        nonlocal closed
        if closed:
            ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[permission])
            closed = False

    yield open_again
    open_again()


def test_a_rotation_waits_until_it_can_test_the_other_region_and_then_ends(
    system: System, no_way_to_the_secondary: Any
) -> None:
    function = f"/aws/lambda/payments-rotate-{system.plan.region_at('primary').place}-lab"

    def reasons() -> list[str] | None:
        events = system.aws("logs", system.primary).filter_log_events(
            logGroupName=function, startTime=int(began * 1000), filterPattern='"not now"'
        )["events"]
        return [event["message"] for event in events] or None

    began = time.time()
    old = credentials(system, APPLICATION, system.primary)
    version = rotate(system, APPLICATION)
    told = eventually(reasons, "the test of the secondary fails", _PATIENCE)
    assert any("payments-ledger-secondary-lab in us-east-2" in reason for reason in told)
    assert not any(old["password"] in reason for reason in told)
    assert credentials(system, APPLICATION, system.primary) == old
    with Client(system, system.primary) as client:
        client.sign_in()
        assert client.pay().status_code == 201
    no_way_to_the_secondary()
    eventually(lambda: is_current(system, APPLICATION, version), "it is rotated", _PATIENCE)
    new = credentials(system, APPLICATION, system.primary)
    assert new["username"] != old["username"]
    for region in system.regions:
        assert logs_in(system, region, new)
