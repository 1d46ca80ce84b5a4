"""Database credentials from this region's secret or its replica, kept until fresh ones are asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from adapters.aws import unknown_is_unavailable
from failover.rotation import Credentials

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

__all__ = ["Credentials", "Secrets", "parsed"]


class Secrets:
    def __init__(self, client: SecretsManagerClient) -> None:
        self._client = client
        self._known: dict[str, Credentials] = {}

    def credentials(self, name: str, *, fresh: bool = False) -> Credentials:
        """Raises Unavailable when it cannot be read now, ClientError when it is refused or gone, ValueError
        (without its text) when it is malformed.
        """
        if fresh or name not in self._known:
            with unknown_is_unavailable("secret"):
                text = self._client.get_secret_value(SecretId=name).get("SecretString", "")
            self._known[name] = parsed(name, text)
        return self._known[name]


def parsed(name: str, text: str) -> Credentials:
    """Raises ValueError, without the text."""
    try:
        fields = json.loads(text)
        return Credentials(str(fields["username"]), str(fields["password"]))
    except (ValueError, KeyError, TypeError):
        # From None: a decoding error carries the document it could not decode.
        raise ValueError(f'secret {name} is not JSON with "username" and "password"') from None
