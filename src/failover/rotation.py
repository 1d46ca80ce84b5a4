"""How a database user's password is replaced: what each of Secrets Manager's four steps has to do.

A step may run again after it, or a later one, was cut off anywhere; each converges on the same end. Nothing
that a region may still log in with is taken away:

* An alternating secret names one of two users with the same rights. A rotation changes the password of the
  other one, so what the secret named before stays good until the next rotation.
* A rotation begins only when every replica of the secret has what the last one made current. Otherwise it
  could change the password that a region's replica still tells.
* It ends only when the writer and every cluster that may be promoted accepted the new password: else a
  failover right after it could leave a secret that names a user the new writer does not know.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from failover.errors import Unavailable

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
_CLONE: Final = "_clone"


class NotRotatable(Exception):  # noqa: N818 - as in failover.errors
    """This rotation cannot go on, and waiting does not help: somebody has to look."""


class Step(StrEnum):
    CREATE = "createSecret"
    SET = "setSecret"
    TEST = "testSecret"
    FINISH = "finishSecret"


class Users(StrEnum):
    """How many users a secret has in turn: one whose password changes, or two."""

    SINGLE = "single"
    ALTERNATING = "alternating"


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Described:
    """A secret without its values: labels by version, and the regions whose replica is behind."""

    name: str
    labels: Mapping[str, Collection[str]]
    behind: tuple[str, ...] = ()


class Secret(Protocol):
    """One secret, in its home region. Any method may raise Unavailable."""

    def describe(self) -> Described: ...

    def read(self, version: str | None = None) -> Credentials | None:
        """Of the current version, or of the one named; None when that has no value (yet)."""

    def write(self, version: str, credentials: Credentials) -> None:
        """As pending. Whoever wrote this version first wins."""

    def make_current(self, version: str, *, instead_of: str) -> None: ...


class Databases(Protocol):
    """The clusters of the global database. Any method raises Unavailable while the writer is unknown."""

    def find_writer(self) -> None: ...

    def change(self, credentials: Credentials) -> None:
        """On the writer, in one transaction; for a clone, with the rights of its original and no others."""

    def test(self, credentials: Credentials, *, everywhere: bool) -> None:
        """Log in to the writer and use the user's rights; `everywhere`: to every other member, too.

        Raises Unavailable when one refuses or does not answer.
        """


def original(username: str) -> str:
    """The user whose rights this one has; itself, unless it is a clone."""
    return username.removesuffix(_CLONE)


def next_user(users: Users, username: str) -> str:
    if users is Users.SINGLE:
        return username
    return original(username) if username.endswith(_CLONE) else username + _CLONE


def take(
    step: Step,
    version: str,
    users: Mapping[str, Users],
    *,
    secret: Secret,
    databases: Databases,
    password: Callable[[], str],
) -> str:
    """What was done, in a few words. `users` holds the secrets that may be rotated, by name.

    Raises Unavailable (try again) or NotRotatable (somebody has to look).
    """
    described = secret.describe()
    if described.name not in users:
        raise NotRotatable(f"{described.name}: not a secret that is rotated here")
    current_version = _current_version(described)
    if current_version == version:
        return "current already"
    if PENDING not in described.labels.get(version, ()):
        raise NotRotatable(f"{described.name}: version {version} is not pending")
    current = secret.read()
    if current is None:
        raise NotRotatable(f"{described.name}: the current version has no value")
    pending = secret.read(version)
    follower = next_user(users[described.name], current.username)
    if pending is not None and step is not Step.TEST and pending.username != follower:
        raise NotRotatable(f"{described.name}: {pending.username} does not follow {current.username}")
    match step:
        case Step.CREATE:
            if pending is not None:
                return "created already"
            databases.find_writer()  # so that a rotation that cannot go on does not begin
            if described.behind:
                raise Unavailable(f"{described.name}: its replica is behind in {', '.join(described.behind)}")
            secret.write(version, Credentials(follower, password()))
            return "created"
        case Step.SET:
            databases.change(_written(described, pending))
            return "set"
        case Step.TEST:
            # Without a value: Secrets Manager only tries whether rotation is configured well, which it does
            # when a schedule is made that does not rotate at once.
            databases.test(pending or current, everywhere=pending is not None)
            return "tested" if pending else "configuration tested"
        case Step.FINISH:
            # Tested again: between two steps another cluster may have become the writer.
            databases.test(_written(described, pending), everywhere=True)
            secret.make_current(version, instead_of=current_version)
            return "finished"


def _current_version(described: Described) -> str:
    found = [version for version, labels in described.labels.items() if CURRENT in labels]
    if len(found) != 1:
        raise NotRotatable(f"{described.name}: {len(found)} versions are current")
    return found[0]


def _written(described: Described, pending: Credentials | None) -> Credentials:
    if pending is None:
        raise NotRotatable(f"{described.name}: the pending version has no value; createSecret comes first")
    return pending
