"""Rotation of secrets: Secrets Manager runs a function's four steps, and labels tell how far it came.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda.html
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html

A rotation that fails begins again with its first step, a few times, after seconds instead of minutes.
Nothing rotates because its day has come: a lab does not live that long.
"""

import contextvars
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import lambda_svc, secretsmanager

from lab.embedded import invocations
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, Response, decoded
from lab.embedded.secret_versions import CURRENT, PENDING, error, ok, take_label, unusable, version_with

TYPE = "AWS::SecretsManager::RotationSchedule"
_log = logging.getLogger(__name__)
_SERVICE = "secretsmanager.amazonaws.com"
_STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_ATTEMPTS = 5
_PAUSE = 2.0  # seconds between two attempts
_DAY = 86_400
_DEFAULT_DAYS = 30

_running: set[tuple[str, str]] = set()
"""Secrets (ARNs) and versions that a thread is rotating."""
_guard = threading.Lock()


def register(handlers: Handlers) -> None:
    handlers[TYPE] = {
        "create": create_schedule,
        "update": update_schedule,
        "delete": delete_schedule,
    }
    secretsmanager._rotate_secret = rotate_secret
    secretsmanager._describe_secret = _with_dates(secretsmanager._describe_secret)
    secretsmanager.handle_request = _cancelling(secretsmanager.handle_request)


def create_schedule(_logical_id: str, properties: Properties, _stack_name: str) -> Created:
    if "RotationLambdaARN" not in properties:
        raise ResourceError("This lab has no hosted rotation functions: give a RotationLambdaARN")
    request = {
        "SecretId": properties["SecretId"],
        "RotationLambdaARN": properties["RotationLambdaARN"],
        "RotationRules": properties.get("RotationRules"),
        "RotateImmediately": properties.get("RotateImmediatelyOnUpdate", True),
    }
    arn = str(decoded(rotate_secret(request))["ARN"])
    return arn, {"Id": arn}


def update_schedule(
    _physical_id: str, _old: Properties, new: Properties, stack_name: str, *_rest: Any
) -> Created:
    return create_schedule("", new, stack_name)


def delete_schedule(physical_id: str, _properties: Properties) -> None:
    """The secret may be gone already."""
    _, secret = secretsmanager._resolve(physical_id)
    if secret is not None:
        decoded(cancel_rotation({"SecretId": physical_id}))


def rotate_secret(data: Mapping[str, Any]) -> Response:
    """Configures what it is given, then begins; the steps run on a thread of their own."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    refusal = unusable(secret)
    if refusal is not None:
        return refusal
    function = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
    refusal = _function_refusal(function, secret)
    if refusal is not None:
        return refusal
    unfinished = version_with(secret, PENDING)
    if unfinished is not None and CURRENT not in secret["Versions"][unfinished]["Stages"]:
        _begin(secret, function, unfinished, _STEPS)
        return error(
            "InvalidRequestException",
            "A previous rotation isn't complete. That rotation will be reattempted.",
        )
    secret.update(RotationEnabled=True, RotationLambdaARN=function)
    if data.get("RotationRules"):
        secret["RotationRules"] = dict(data["RotationRules"])
    version = data.get("ClientRequestToken") or new_uuid()
    now = int(time.time())
    take_label(secret, PENDING)
    secret["Versions"][version] = {
        "SecretString": None,  # a label only, until the first step gives it a value
        "SecretBinary": None,
        "CreatedDate": now,
        "Stages": [PENDING],
    }
    secret["LastChangedDate"] = now
    secretsmanager._sync_replicas(secret)
    answer = {"ARN": secret["ARN"], "Name": secret["Name"]}
    if data.get("RotateImmediately", True) in (False, "false"):
        _begin(secret, function, version, ("testSecret",))
        return ok(answer)
    _begin(secret, function, version, _STEPS)
    return ok({**answer, "VersionId": version})


def cancel_rotation(data: Mapping[str, Any]) -> Response:
    """No attempt follows; labels stay as they are."""
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    refusal = unusable(secret)
    if refusal is not None:
        return refusal
    secret["RotationEnabled"] = False
    secretsmanager._sync_replicas(secret)
    answer = {"ARN": secret["ARN"], "Name": secret["Name"]}
    pending = version_with(secret, PENDING)
    return ok(answer | ({"VersionId": pending} if pending else {}))


def _function_refusal(function: str | None, secret: Mapping[str, Any]) -> Response | None:
    if not function:
        return error(
            "InvalidRequestException", "No Lambda rotation function ARN is associated with this secret."
        )
    record, _, _ = lambda_svc._get_func_record_for_ref(function)
    if record is None:
        return error("ResourceNotFoundException", f"Secrets Manager can't find the function {function}.")
    if invocations.refused(function, _SERVICE, str(secret["ARN"])):
        return error(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy "
            f"grants access to the principal {_SERVICE}.",
        )
    return None


def _begin(secret: dict[str, Any], function: str, version: str, steps: tuple[str, ...]) -> None:
    """Unless a thread is at it already."""
    key = (str(secret["ARN"]), version)
    with _guard:
        if key in _running:
            return
        _running.add(key)

    def run() -> None:
        try:
            if steps == _STEPS:
                _rotate(*key, function)
            else:
                _try_configuration(*key, function)
        finally:
            with _guard:
                _running.discard(key)

    threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True).start()


def _rotate(arn: str, version: str, function: str) -> None:
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE)
        _, secret = secretsmanager._resolve(arn)
        if secret is None or not secret.get("RotationEnabled"):
            return
        if all(_step(arn, version, function, step) for step in _STEPS):
            _, secret = secretsmanager._resolve(arn)
            if secret is not None:
                secret["LastRotatedDate"] = int(time.time())
                secretsmanager._sync_replicas(secret)
            return
    _log.warning("rotation of %s to version %s failed", arn, version)


def _try_configuration(arn: str, version: str, function: str) -> None:
    _step(arn, version, function, "testSecret")
    _, secret = secretsmanager._resolve(arn)
    if secret is not None and CURRENT not in secret["Versions"].get(version, {}).get("Stages", ()):
        secret["Versions"].pop(version, None)
        secretsmanager._sync_replicas(secret)


def _step(arn: str, version: str, function: str, step: str) -> bool:
    """Whether the function let it go on. It is asked for leave each time: a policy may have changed."""
    event = {"Step": step, "SecretId": arn, "ClientRequestToken": version, "RotationToken": new_uuid()}
    record, config, _ = lambda_svc._get_func_record_for_ref(function)
    if record is None or config is None or invocations.refused(function, _SERVICE, arn):
        _log.warning("%s of %s: Secrets Manager cannot invoke %s", step, arn, function)
        return False
    began = time.monotonic()
    result = lambda_svc._execute_function_with_config_scope(record, event)
    failed = bool(result.get("error"))
    lambda_svc._emit_lambda_metrics(
        config["FunctionName"],
        duration_ms=(time.monotonic() - began) * 1000,
        error=failed,
        throttle=bool(result.get("throttle")),
    )
    if failed:
        _log.warning("%s of %s failed: %s", step, arn, result.get("body"))
    return not failed


def _with_dates(inherited: Callable[..., Response]) -> Callable[..., Response]:
    def describe(data: Mapping[str, Any]) -> Response:
        answer = inherited(data)
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        if answer[0] >= 400 or secret is None:
            return answer
        body = json.loads(answer[2])
        rotated = secret.get("LastRotatedDate")
        if rotated is not None:
            body["LastRotatedDate"] = rotated
        if secret.get("RotationEnabled"):
            days = int((secret.get("RotationRules") or {}).get("AutomaticallyAfterDays", _DEFAULT_DAYS))
            body["NextRotationDate"] = (rotated or int(time.time())) + days * _DAY
        return ok(body)

    return describe


def _cancelling(inherited: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """MiniStack has no CancelRotateSecret."""

    async def handle(method: str, path: str, headers: Mapping[str, str], body: bytes, *rest: Any) -> Response:
        if headers.get("x-amz-target", "").endswith(".CancelRotateSecret"):
            return cancel_rotation(json.loads(body or b"{}"))
        return await inherited(method, path, headers, body, *rest)

    return handle
