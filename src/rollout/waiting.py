"""Waiting inside a custom resource, never past its deadline."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from botocore.exceptions import ClientError

from adapters.aws import code
from adapters.custom_resource import Failed

Value = TypeVar("Value")

# What a service answers while a role, a policy or a grant has not arrived everywhere; "403" where an answer
# has no body to say more. https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html
_NOT_YET: Final = frozenset({"AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "403"})


def until(
    ready: Callable[[], Value | None],
    *,
    deadline: float,
    what: str,
    every: float,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Value:
    """The first value `ready` returns that is not None. `what` completes "still waiting for ..."."""
    while True:
        value = ready()
        if value is not None:
            return value
        if monotonic() + every >= deadline:
            raise Failed(f"still waiting for {what}; deploy again to wait longer")
        sleep(every)


def until_allowed(act: Callable[[], Value], *, deadline: float, what: str, every: float) -> Value:
    """What `act` returns once it is no longer refused. IAM takes seconds to get everywhere, and a grant that
    names a key by its alias up to five minutes after the alias was made.
    https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html
    """

    def attempt() -> tuple[Value] | None:
        try:
            return (act(),)
        except ClientError as error:
            if code(error) in _NOT_YET:
                return None
            raise

    return until(attempt, deadline=deadline, what=what, every=every)[0]
