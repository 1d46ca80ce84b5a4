"""Versions of a secret and their labels: which may be read, and what a token may be used for.

https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import secretsmanager

from lab.embedded.handlers import Handlers, Response

CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


def register(_: Handlers) -> None:
    secretsmanager._get_secret_value = _telling_empty_versions(secretsmanager._get_secret_value)
    secretsmanager._put_secret_value = _once_per_token(secretsmanager._put_secret_value)


def unusable(secret: Mapping[str, Any] | None) -> Response | None:
    if secret is None:
        return error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    if secret.get("DeletedDate"):
        return error(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
        )
    if secretsmanager._is_replica(secret):
        replica: Response = secretsmanager._replica_mutationerror()
        return replica
    return None


def version_with(secret: Mapping[str, Any], label: str) -> str | None:
    version: str | None = secretsmanager._find_stage_version(secret, label)[0]
    return version


def take_label(secret: dict[str, Any], label: str) -> None:
    """A label is on one version at a time."""
    secretsmanager._remove_stage_everywhere(secret, label)


def ok(body: Mapping[str, Any]) -> Response:
    response: Response = json_response(dict(body))
    return response


def error(code: str, message: str) -> Response:
    response: Response = error_response_json(code, message, 400)
    return response


def _telling_empty_versions(inherited: Callable[..., Response]) -> Callable[..., Response]:
    """A version that is only a label has no value to get; a version and a label have to be the same one."""

    def get(data: Mapping[str, Any]) -> Response:
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        if secret is None:
            return inherited(data)
        asked, label = data.get("VersionId"), data.get("VersionStage")
        version = asked or version_with(secret, label or CURRENT)
        found = secret["Versions"].get(version)
        if found is None:
            return inherited(data)
        empty = found.get("SecretString") is None and found.get("SecretBinary") is None
        if empty or (asked and label and label not in found["Stages"]):
            by = f"VersionId: {asked}" if asked else f"staging label: {label or CURRENT}"
            by += f" and staging label: {label}" if asked and label else ""
            return error(
                "ResourceNotFoundException", f"Secrets Manager can't find the specified secret value for {by}"
            )
        return inherited(data)

    return get


def _once_per_token(inherited: Callable[..., Response]) -> Callable[..., Response]:
    def put(data: Mapping[str, Any]) -> Response:
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        token = data.get("ClientRequestToken")
        if unusable(secret) is not None or secret is None:
            return inherited(data)
        known = secret["Versions"].get(token)
        value = (data.get("SecretString"), data.get("SecretBinary"))
        held = (known["SecretString"], known["SecretBinary"]) if known else (None, None)
        if known and held == value:
            labels = list(known["Stages"])
            answer = {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token}
            return ok({**answer, "VersionStages": labels})
        if held != (None, None):
            return error(
                "ResourceExistsException",
                f"You can't use ClientRequestToken {token} because that value is already in use for a "
                f"version of secret {secret['ARN']}.",
            )
        for label in data.get("VersionStages") or ():
            if label != CURRENT:  # MiniStack moves that one itself, and AWSPREVIOUS with it
                take_label(secret, label)
        return inherited(data)

    return put
