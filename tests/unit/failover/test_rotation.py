"""Rotation step by step, with a secret and databases in memory that may fail before or after any call."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from failover.errors import Unavailable
from failover.rotation import (
    CURRENT,
    PENDING,
    Credentials,
    Databases,
    Described,
    NotRotatable,
    Secret,
    Step,
    Users,
    next_user,
    original,
    take,
)

APP, CLONE = "ledger_application", "ledger_application_clone"
NAME = "payments/prod/database/application"
ALTERNATING = {NAME: Users.ALTERNATING}


class CutOffError(Exception):
    """The function ended here: a timeout, a crash."""


@dataclass
class Fate:
    """Counts calls that change something; the one it is told to is followed, or prevented, by the end."""

    cut_at: int | None = None
    before: bool = False
    calls: int = 0

    def change(self, act: Callable[[], None]) -> None:
        self.calls += 1
        if self.calls == self.cut_at and self.before:
            raise CutOffError
        act()
        if self.calls == self.cut_at:
            raise CutOffError


@dataclass
class MemorySecret:
    fate: Fate
    values: dict[str, Credentials]
    labels: dict[str, list[str]]
    behind: tuple[str, ...] = ()
    name: str = NAME

    def describe(self) -> Described:
        return Described(
            self.name, {version: tuple(held) for version, held in self.labels.items()}, self.behind
        )

    def read(self, version: str | None = None) -> Credentials | None:
        wanted = version or next(known for known, held in self.labels.items() if CURRENT in held)
        return self.values.get(wanted)

    def write(self, version: str, credentials: Credentials) -> None:
        self.fate.change(lambda: self.values.__setitem__(version, credentials))

    def make_current(self, version: str, *, instead_of: str) -> None:
        def move() -> None:
            self.labels[instead_of] = ["AWSPREVIOUS"]
            self.labels[version] = [CURRENT, PENDING]

        assert CURRENT in self.labels[instead_of]
        self.fate.change(move)

    def current(self) -> Credentials:
        found = self.read()
        assert found is not None
        return found


@dataclass
class MemoryDatabases:
    fate: Fate
    users: dict[str, str]
    writer_known: bool = True
    replica: dict[str, str] | None = None
    """What a replica that is behind knows; None: whatever the writer does."""
    tested: list[tuple[str, bool]] = field(default_factory=list)

    def find_writer(self) -> None:
        if not self.writer_known:
            raise Unavailable("global cluster: 0 of 2 members are the writer")

    def change(self, credentials: Credentials) -> None:
        self.find_writer()
        self.fate.change(lambda: self.users.__setitem__(credentials.username, credentials.password))

    def test(self, credentials: Credentials, *, everywhere: bool) -> None:
        self.find_writer()
        asked = [self.users] + ([self.replica] if everywhere and self.replica is not None else [])
        if any(users.get(credentials.username) != credentials.password for users in asked):
            raise Unavailable("refused")
        self.tested.append((credentials.username, everywhere))


@dataclass
class World:
    """A secret whose version `old` is current, and databases that know it; `new` is a version to be."""

    fate: Fate = field(default_factory=Fate)
    username: str = APP
    passwords: int = 0

    def __post_init__(self) -> None:
        self.secret = MemorySecret(
            self.fate,
            {"old": Credentials(self.username, "old password")},
            {"old": [CURRENT], "new": [PENDING]},
        )
        self.databases = MemoryDatabases(self.fate, {self.username: "old password"})

    def take(self, step: Step, version: str = "new", users: dict[str, Users] | None = None) -> str:
        secret: Secret = self.secret
        databases: Databases = self.databases
        return take(
            step,
            version,
            users or ALTERNATING,
            secret=secret,
            databases=databases,
            password=self._password,
        )

    def rotate(self, version: str = "new", users: dict[str, Users] | None = None) -> list[str]:
        return [self.take(step, version, users) for step in Step]

    def usable(self, credentials: Credentials | None) -> bool:
        return (
            credentials is not None and self.databases.users.get(credentials.username) == credentials.password
        )

    def _password(self) -> str:
        self.passwords += 1
        return f"password {self.passwords}"


def test_a_clone_follows_its_original_and_the_original_its_clone() -> None:
    assert next_user(Users.ALTERNATING, APP) == CLONE
    assert next_user(Users.ALTERNATING, CLONE) == APP
    assert next_user(Users.SINGLE, APP) == APP
    assert original(CLONE) == original(APP) == APP


def test_two_rotations_change_users_and_come_back() -> None:
    world = World()
    assert world.rotate() == ["created", "set", "tested", "finished"]
    first = world.secret.current()
    assert first.username == CLONE
    assert world.usable(first)
    assert world.usable(world.secret.values["old"])
    world.secret.labels["next"] = [PENDING]
    world.rotate("next")
    assert world.secret.current().username == APP
    assert world.usable(world.secret.current())
    assert world.usable(first)
    assert not world.usable(world.secret.values["old"])  # until the rotation after the one that replaced it


def test_a_single_user_gets_a_new_password() -> None:
    world = World(username="ledger_migrator")
    world.rotate(users={NAME: Users.SINGLE})
    assert world.secret.current() == Credentials("ledger_migrator", "password 1")
    assert world.usable(world.secret.current())


@pytest.mark.parametrize("users", [Users.ALTERNATING, Users.SINGLE])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("cut_at", [1, 2, 3])
def test_a_rotation_cut_off_anywhere_is_finished_by_the_next_attempt(
    cut_at: int, before: bool, users: Users
) -> None:
    world = World(Fate(cut_at, before))
    kinds = {NAME: users}
    with pytest.raises(CutOffError):
        world.rotate(users=kinds)
    if users is Users.ALTERNATING:
        assert world.usable(world.secret.current())  # whatever happened, who reads the secret can log in
    world.rotate(users=kinds)  # Secrets Manager begins with the first step again
    assert CURRENT in world.secret.labels["new"]
    assert world.usable(world.secret.current())
    assert world.fate.calls <= 6
    settled = (dict(world.secret.values), dict(world.databases.users))
    assert world.rotate(users=kinds) == ["current already"] * 4
    assert settled == (world.secret.values, world.databases.users)


@pytest.mark.parametrize("again", list(Step))
def test_a_step_that_runs_twice_changes_nothing_more(again: Step) -> None:
    world = World()
    for step in Step:
        world.take(step)
        if step is again:
            world.take(step)
    assert world.passwords == 1
    assert world.secret.current() == Credentials(CLONE, "password 1")
    assert world.usable(world.secret.current())


@pytest.mark.parametrize("step", [Step.CREATE, Step.SET, Step.TEST, Step.FINISH])
def test_while_the_writer_is_unknown_nothing_changes_and_the_next_attempt_goes_on(step: Step) -> None:
    world = World()
    for earlier in Step:
        if earlier is step:
            break
        world.take(earlier)
    changes = world.fate.calls
    world.databases.writer_known = False
    with pytest.raises(Unavailable, match="0 of 2"):
        world.take(step)
    assert world.fate.calls == changes
    world.databases.writer_known = True
    world.rotate()
    assert world.secret.current().username == CLONE


def test_no_rotation_begins_while_a_replica_of_the_secret_is_behind() -> None:
    world = World()
    world.secret.behind = ("us-east-2",)
    with pytest.raises(Unavailable, match="behind in us-east-2"):
        world.take(Step.CREATE)
    assert world.fate.calls == 0


def test_a_rotation_that_has_begun_goes_on_although_its_own_version_is_still_on_the_way() -> None:
    world = World()
    world.take(Step.CREATE)
    world.secret.behind = ("us-east-2",)
    assert world.rotate()[0] == "created already"
    assert world.secret.current().username == CLONE


@pytest.mark.parametrize("step", [Step.TEST, Step.FINISH])
def test_a_rotation_does_not_end_before_the_replica_has_the_user(step: Step) -> None:
    world = World()
    world.take(Step.CREATE)
    world.take(Step.SET)
    world.databases.replica = {APP: "old password"}
    with pytest.raises(Unavailable):
        world.take(step)
    assert world.secret.current().username == APP


def test_a_writer_that_lost_the_user_gets_it_again() -> None:
    world = World()
    world.take(Step.CREATE)
    world.take(Step.SET)
    world.take(Step.TEST)
    world.databases.users = {APP: "old password"}  # another cluster was promoted without it
    with pytest.raises(Unavailable):
        world.take(Step.FINISH)
    world.rotate()
    assert world.usable(world.secret.current())
    assert world.secret.current().username == CLONE


@pytest.mark.parametrize("copied", [True, False])
def test_a_configuration_is_tested_without_changing_anything(copied: bool) -> None:
    world = World()
    if copied:  # AWS does not say whether the version it makes for the test has a value
        world.secret.values["new"] = world.secret.values["old"]
    world.take(Step.TEST)
    assert [username for username, _ in world.databases.tested] == [APP]
    assert world.fate.calls == 0


@pytest.mark.parametrize("step", [Step.SET, Step.FINISH])
def test_what_was_not_created_is_neither_set_nor_finished(step: Step) -> None:
    world = World()
    with pytest.raises(NotRotatable, match="no value"):
        world.take(step)
    assert world.fate.calls == 0


@pytest.mark.parametrize(
    "labels",
    [
        {"old": [CURRENT]},
        {"old": [CURRENT], "new": ["AWSPREVIOUS"]},
        {"old": [CURRENT], "new": []},
        {"new": [PENDING]},
        {"old": [CURRENT], "older": [CURRENT], "new": [PENDING]},
    ],
)
@pytest.mark.parametrize("step", list(Step))
def test_labels_that_are_not_a_rotation_s_are_refused(labels: dict[str, list[str]], step: Step) -> None:
    world = World()
    world.secret.labels = labels
    with pytest.raises(NotRotatable):
        world.take(step)
    assert world.fate.calls == 0


def test_a_secret_that_is_not_ours_is_refused() -> None:
    world = World()
    world.secret.name = "payments/prod/database/master"
    with pytest.raises(NotRotatable, match="not a secret that is rotated here"):
        world.take(Step.CREATE)


@pytest.mark.parametrize("step", [Step.CREATE, Step.SET, Step.FINISH])
@pytest.mark.parametrize("username", ["ledger_master", APP])
def test_a_pending_user_who_does_not_follow_the_current_one_is_refused(step: Step, username: str) -> None:
    world = World()
    world.secret.values["new"] = Credentials(username, "x")
    with pytest.raises(NotRotatable, match=f"{username} does not follow {APP}"):
        world.take(step)
    assert world.fate.calls == 0


def test_a_current_version_without_a_value_is_refused() -> None:
    world = World()
    world.secret.values.clear()
    with pytest.raises(NotRotatable, match="no value"):
        world.take(Step.CREATE)


def test_credentials_do_not_show_their_password() -> None:
    assert "hunter2" not in repr(Credentials(APP, "hunter2"))
