"""The function as Secrets Manager calls it: what lets it go on, what makes it try again, what it tells."""

import json
import logging
from typing import Any, cast

import pytest

from failover.errors import Unavailable
from failover.rotation import CURRENT, PENDING, Credentials, NotRotatable, Step, Users
from tests.unit.adapters.fake_rotation import SECRET, FakeVersions, as_text
from tests.unit.handlers.test_api import CurrentOutput

OLD = Credentials("ledger_application", "old hunter2")
ENVIRONMENT = {
    "AWS_REGION": "us-east-1",
    "GLOBAL_CLUSTER": "ledger",
    "DATABASE_NAME": "ledger",
    "MASTER_SECRET": "master",
    "APPLICATION_SECRET": SECRET,
    "MIGRATOR_SECRET": "migrator",
}


class Databases:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.changed: list[Credentials] = []

    def find_writer(self) -> None:
        if self.error is not None:
            raise self.error

    def change(self, credentials: Credentials) -> None:
        self.find_writer()
        self.changed.append(credentials)

    def test(self, credentials: Credentials, *, everywhere: bool) -> None:
        self.find_writer()
        assert everywhere
        assert credentials in self.changed


@pytest.fixture
def rotate(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "payments")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "rotate")
    import handlers.rotate

    for handler in handlers.rotate._LOGGER.handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.stream = CurrentOutput()
    return handlers.rotate


def rotation(versions: FakeVersions, databases: Databases) -> Any:
    from handlers.rotate import Rotation

    return Rotation(cast(Any, versions), databases, {SECRET: Users.ALTERNATING})


def event(step: str, secret: str = SECRET) -> dict[str, str]:
    return {"Step": step, "SecretId": secret, "ClientRequestToken": "v1", "RotationToken": "sensitive"}


@pytest.fixture
def versions() -> FakeVersions:
    return FakeVersions({"v0": as_text(OLD)}, {"v0": [CURRENT], "v1": [PENDING]})


def test_four_steps_rotate_and_tell_no_password(
    rotate: Any, versions: FakeVersions, capsys: pytest.CaptureFixture[str]
) -> None:
    databases = Databases()
    done = [rotate.answer(event(step), rotation(versions, databases))["done"] for step in Step]
    assert done == ["created", "set", "tested", "finished"]
    new = versions.current()
    assert new.username == "ledger_application_clone"
    assert len(new.password) == 48
    assert new.password.isalnum()
    assert databases.changed == [new]
    told = capsys.readouterr()
    for sensitive in (new.password, "hunter2", "sensitive"):
        assert sensitive not in told.out + told.err


def test_what_is_unavailable_stops_the_step_and_is_no_mistake(
    rotate: Any, versions: FakeVersions, capsys: pytest.CaptureFixture[str]
) -> None:
    databases = Databases()
    databases.error = Unavailable("global cluster: 0 of 2 members are the writer")
    with pytest.raises(Unavailable):
        rotate.answer(event("createSecret"), rotation(versions, databases))
    told = capsys.readouterr().out
    assert "0 of 2 members are the writer" in told
    assert "_aws" not in told
    assert list(versions.texts) == ["v0"]


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (NotRotatable("user x: InsufficientPrivilege (42501)"), "42501"),
        (RuntimeError("hunter2"), "RuntimeError"),
    ],
)
def test_a_mistake_is_counted_and_quotes_nobody_else(
    rotate: Any, versions: FakeVersions, capsys: pytest.CaptureFixture[str], mistake: Exception, told: str
) -> None:
    databases = Databases()
    databases.error = mistake
    with pytest.raises(type(mistake)):
        rotate.answer(event("createSecret"), rotation(versions, databases))
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["Mistake"] for line in lines if "_aws" in line] == [[1.0]]
    assert told in out
    assert "hunter2" not in out


@pytest.mark.parametrize(
    ("asked", "error"),
    [(event("createSecret", "master"), NotRotatable), (event("dropSecret"), ValueError)],
)
def test_what_is_not_ours_to_do_is_refused(
    rotate: Any, versions: FakeVersions, asked: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        rotate.answer(asked, rotation(versions, Databases()))
    assert list(versions.texts) == ["v0"]


@pytest.mark.parametrize("missing", ENVIRONMENT)
def test_a_missing_setting_is_loud(rotate: Any, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    rotate.wired(ENVIRONMENT)
    with pytest.raises(KeyError, match=missing):
        rotate.wired({name: value for name, value in ENVIRONMENT.items() if name != missing})
