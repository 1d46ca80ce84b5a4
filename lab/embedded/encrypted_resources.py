"""What a caller needs of the key behind a table, a secret, a topic or a log group.

Every call is judged anew. DynamoDB asks for a table's key once per caller and five minutes, so that on AWS a
permission taken away is noticed up to that much later:
https://docs.aws.amazon.com/kms/latest/developerguide/services-dynamodb.html
https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
"""

import json
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch_logs, dynamodb, secretsmanager, sns

from lab.embedded import authorization, key_use
from lab.embedded.authorization import Call, Refusal
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError
from lab.embedded.key_use import DECRYPT, GENERATE, Obstacle

_LOG_GROUP = "AWS::Logs::LogGroup"
_ITEM_ACTIONS = frozenset(
    {
        "dynamodb:BatchGetItem",
        "dynamodb:BatchWriteItem",
        "dynamodb:ConditionCheckItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:GetRecords",
        "dynamodb:PartiQLDelete",
        "dynamodb:PartiQLInsert",
        "dynamodb:PartiQLSelect",
        "dynamodb:PartiQLUpdate",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:Scan",
        "dynamodb:UpdateItem",
    }
)
_READ_SECRET = "secretsmanager:GetSecretValue"  # noqa: S105 - the name of an action
_WRITE_SECRET = frozenset({"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecret"})
_LOG_ACTIONS = frozenset({"logs:FilterLogEvents", "logs:GetLogEvents", "logs:PutLogEvents"})
_OF_LOGS = ("kms:Encrypt", DECRYPT, "kms:ReEncryptFrom", "kms:ReEncryptTo", GENERATE, "kms:DescribeKey")


def register(handlers: Handlers) -> None:
    authorization.add(check)
    handler = handlers[_LOG_GROUP]
    handler.update(
        create=_encryptable(handler["create"]),
        update=_encryptable(handler["update"]),
    )
    cloudwatch_logs._create_log_group = _admitted(cloudwatch_logs._create_log_group)


def check(call: Call) -> Refusal | None:
    if call.action in _ITEM_ACTIONS:
        return _of_table(call)
    if call.action == _READ_SECRET or call.action in _WRITE_SECRET:
        return _of_secret(call)
    if call.action == "sns:Publish":
        return _of_topic(call)
    if call.action in _LOG_ACTIONS:
        return _of_log_group(call)
    return None


def _of_table(call: Call) -> Refusal | None:
    name = call.resource.partition(":table/")[2].partition("/")[0]
    described = (dynamodb._tables.get(name) or {}).get("SSEDescription") or {}
    key = key_use.ours(described.get("KMSMasterKeyArn"))
    if key is None:
        return None
    context = {"aws:dynamodb:tableName": name, "aws:dynamodb:subscriberId": get_account_id()}
    found = key_use.obstacle(call.principal, "dynamodb", key, [DECRYPT], context)
    if found is None:
        return None
    return Refusal(f"KMS key access denied error: {found.message}", "AccessDeniedException", 400)


def _of_secret(call: Call) -> Refusal | None:
    _, secret = secretsmanager._resolve(call.resource)
    key = key_use.ours((secret or {}).get("KmsKeyId"))
    if key is None:
        return None
    version, _ = secretsmanager._find_stage_version(secret, "AWSCURRENT")
    context = {"SecretARN": str(secret["ARN"]), "SecretVersionId": str(version)}
    reads = call.action == _READ_SECRET
    actions = [DECRYPT] if reads else [GENERATE, DECRYPT]
    found = key_use.obstacle(call.principal, "secretsmanager", key, actions, context)
    if found is None:
        return None
    if not found.disabled:
        return Refusal("Access to KMS is not allowed", "AccessDeniedException", 400)
    verb, code = ("decrypt", "DecryptionFailure") if reads else ("encrypt", "EncryptionFailure")
    return Refusal(
        f"Secrets Manager can't {verb} the protected secret text using the provided KMS key. {found.message}",
        code,
        400,
    )


def _of_topic(call: Call) -> Refusal | None:
    topic = sns._topic_by_arn_any_scope(call.resource)
    key = key_use.ours(((topic or {}).get("attributes") or {}).get("KmsMasterKeyId"))
    if key is None:
        return None
    found = key_use.obstacle(
        call.principal, "sns", key, [GENERATE, DECRYPT], {"aws:sns:topicArn": call.resource}
    )
    if found is None:
        return None
    return Refusal(found.message, "KMSDisabled" if found.disabled else "KMSAccessDenied", 400)


def _of_log_group(call: Call) -> Refusal | None:
    name = call.resource.partition(":log-group:")[2].partition(":")[0]
    found = _obstacle_to_logs(name, (cloudwatch_logs._log_groups.get(name) or {}).get("kmsKeyId"))
    return None if found is None else Refusal(_not_for_group(name), "AccessDeniedException", 400)


def _obstacle_to_logs(group: str, reference: object) -> Obstacle | None:
    """CloudWatch Logs asks as itself, whoever reads or writes."""
    key = key_use.ours(reference)
    if key is None:
        return None
    context = {"kms:encryptioncontext:aws:logs:arn": _group_arn(group), "aws:sourceaccount": get_account_id()}
    return key_use.obstacle_for_service(f"logs.{get_region()}.amazonaws.com", key, _OF_LOGS, context)


def _group_arn(group: str) -> str:
    return f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}"


def _not_for_group(group: str) -> str:
    return (
        "The specified KMS key does not exist or is not allowed to be used with LogGroup "
        f"'{_group_arn(group)}'"
    )


def _encryptable(inherited: Callable[..., Created]) -> Callable[..., Created]:
    def make(*arguments: Any) -> Created:
        properties: Properties = next(value for value in reversed(arguments) if isinstance(value, dict))
        name = str(properties.get("LogGroupName", ""))
        if name and _obstacle_to_logs(name, properties.get("KmsKeyId")):
            raise ResourceError(f"{_not_for_group(name)} (AccessDeniedException)")
        return inherited(*arguments)

    return make


def _admitted(inherited: Callable[[Properties], Any]) -> Callable[[Properties], Any]:
    def create(data: Properties) -> Any:
        name = str(data.get("logGroupName", ""))
        if _obstacle_to_logs(name, data.get("kmsKeyId")) is None:
            return inherited(data)
        body = {"__type": "AccessDeniedException", "message": _not_for_group(name)}
        return 400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body).encode()

    return create
