"""A key of ours behind a table, a secret, a topic, a function: who may not use it gets nothing."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import EmbeddedAws, deploy, reasons, unique
from tests.integration.embedded.sessions import Role, Statement, allow, deny, document, of_account
from tests.integration.embedded.zipped import zipped

USE = ["kms:Decrypt", "kms:GenerateDataKey"]
EVERYTHING = allow(["dynamodb:*", "secretsmanager:*", "sns:*", "logs:*"])


@dataclass(frozen=True)
class Key:
    aws: EmbeddedAws
    arn: str

    def says(self, *statements: Statement) -> None:
        self.aws.client("kms").put_key_policy(
            KeyId=self.arn, PolicyName="default", Policy=document(*statements)
        )


@pytest.fixture
def key(aws: EmbeddedAws) -> Iterator[Key]:
    """Everybody whom IAM lets may use it by way of a service."""
    kms = aws.client("kms")
    made = Key(aws, kms.create_key()["KeyMetadata"]["Arn"])
    made.says(by_services(aws), allow("kms:PutKeyPolicy", **of_account(aws)))
    yield made
    made.says(allow("kms:*", **of_account(aws)))
    kms.enable_key(KeyId=made.arn)
    kms.schedule_key_deletion(KeyId=made.arn, PendingWindowInDays=7)


def by_services(aws: EmbeddedAws) -> Statement:
    ways = [f"{name}.us-east-1.amazonaws.com" for name in ("dynamodb", "secretsmanager", "sns", "lambda")]
    return allow(USE, **of_account(aws), Condition={"StringEquals": {"kms:ViaService": ways}})


def through(service: str, *actions: str) -> Statement:
    condition = {"StringEquals": {"kms:ViaService": f"{service}.us-east-1.amazonaws.com"}}
    return allow(list(actions), Condition=condition)


@pytest.fixture
def table(aws: EmbeddedAws, key: Key) -> Iterator[Callable[[Role], Any]]:
    """Put an item as a role."""
    dynamodb, name = aws.client("dynamodb"), unique("table")
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key.arn},
    )
    yield lambda role: role.client("dynamodb").put_item(TableName=name, Item={"id": {"S": "1"}})
    dynamodb.delete_table(TableName=name)


def test_a_table_needs_its_key_for_every_caller(
    aws: EmbeddedAws, key: Key, table: Callable[[Role], Any]
) -> None:
    role = Role(aws, EVERYTHING, through("dynamodb", "kms:Decrypt"))
    table(role)
    role.may(EVERYTHING, through("secretsmanager", "kms:Decrypt"))
    with pytest.raises(ClientError, match="AccessDeniedException") as refused:
        table(role)
    text = str(refused.value)
    assert "KMS key access denied error" in text
    assert (
        f"assumed-role/{role.name}/test is not authorized to perform: kms:Decrypt on resource: {key.arn}"
        in text
    )
    assert "because no identity-based policy allows the kms:Decrypt action" in text


def test_the_key_s_own_policy_has_a_say(aws: EmbeddedAws, key: Key, table: Callable[[Role], Any]) -> None:
    role = Role(aws, EVERYTHING, through("dynamodb", "kms:Decrypt"))
    key.says(allow("kms:PutKeyPolicy", **of_account(aws)))
    with pytest.raises(ClientError, match="because no resource-based policy allows the kms:Decrypt action"):
        table(role)
    key.says(by_services(aws), deny(USE, Principal="*"))
    with pytest.raises(ClientError, match="with an explicit deny in a resource-based policy"):
        table(role)
    key.says(by_services(aws))
    table(role)


def test_a_disabled_key_opens_no_table(aws: EmbeddedAws, key: Key, table: Callable[[Role], Any]) -> None:
    role = Role(aws, EVERYTHING, through("dynamodb", "kms:Decrypt"))
    aws.client("kms").disable_key(KeyId=key.arn)
    with pytest.raises(ClientError, match="is disabled"):
        table(role)


def test_a_condition_on_alias_and_encryption_context_holds(
    aws: EmbeddedAws, key: Key, table: Callable[[Role], Any]
) -> None:
    alias = f"alias/{unique('data')}"
    aws.client("kms").create_alias(AliasName=alias, TargetKeyId=key.arn)

    def named(name: str, account: str) -> Statement:
        conditions = {
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": name},
            "StringEquals": {
                "kms:EncryptionContext:aws:dynamodb:subscriberId": account,
                "kms:CallerAccount": account,
            },
        }
        return allow("kms:Decrypt", Condition=conditions)

    role = Role(aws, EVERYTHING, named(alias, aws.plan.account_id))
    table(role)
    for other in (named("alias/other", aws.plan.account_id), named(alias, "123456789012")):
        role.may(EVERYTHING, other)
        with pytest.raises(ClientError, match="kms:Decrypt"):
            table(role)


def test_the_root_may_unless_the_key_says_no(aws: EmbeddedAws, key: Key) -> None:
    secrets, name = aws.client("secretsmanager"), unique("secret")
    secrets.create_secret(Name=name, SecretString="made up", KmsKeyId=key.arn)
    key.says(allow("kms:PutKeyPolicy", **of_account(aws)))
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "made up"
    key.says(deny(USE, Principal="*"))
    with pytest.raises(ClientError, match="Access to KMS is not allowed"):
        secrets.get_secret_value(SecretId=name)


def test_a_secret_is_read_and_written_with_its_key(aws: EmbeddedAws, key: Key) -> None:
    name = unique("secret")
    arn = aws.client("secretsmanager").create_secret(Name=name, SecretString="made up", KmsKeyId=key.arn)[
        "ARN"
    ]
    own = {"StringEquals": {"kms:EncryptionContext:SecretARN": arn}}
    role = Role(aws, EVERYTHING, allow("kms:Decrypt", Condition=own))
    secrets = role.client("secretsmanager")
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "made up"
    with pytest.raises(ClientError, match=r"AccessDeniedException.*Access to KMS is not allowed"):
        secrets.put_secret_value(SecretId=name, SecretString="new")
    role.may(EVERYTHING)
    with pytest.raises(ClientError, match=r"AccessDeniedException.*Access to KMS is not allowed"):
        secrets.get_secret_value(SecretId=arn)
    aws.client("kms").disable_key(KeyId=key.arn)
    with pytest.raises(ClientError, match="DecryptionFailure"):
        secrets.get_secret_value(SecretId=name)


def test_who_publishes_needs_the_topic_s_key(aws: EmbeddedAws, key: Key) -> None:
    attributes = {"KmsMasterKeyId": key.arn}
    topic = aws.client("sns").create_topic(Name=unique("topic"), Attributes=attributes)["TopicArn"]
    role = Role(aws, EVERYTHING, through("sns", *USE))
    role.client("sns").publish(TopicArn=topic, Message="heard")
    role.may(EVERYTHING, through("sns", "kms:Decrypt"))
    with pytest.raises(ClientError, match=r"KMSAccessDenied.*kms:GenerateDataKey"):
        role.client("sns").publish(TopicArn=topic, Message="unheard")
    aws.client("sns").delete_topic(TopicArn=topic)


def test_a_function_is_not_run_when_its_variables_cannot_be_decrypted(aws: EmbeddedAws, key: Key) -> None:
    functions, name = aws.client("lambda"), unique("function")
    role = Role(aws, allow("logs:*"), service="lambda.amazonaws.com")
    functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="index.handle",
        Role=role.arn,
        Code={"ZipFile": zipped("import os\ndef handle(event, context):\n    return os.environ['SAYS']\n")},
        Environment={"Variables": {"SAYS": "hello"}},
        KMSKeyArn=key.arn,
    )

    def answer() -> Any:
        return json.loads(functions.invoke(FunctionName=name, Payload=b"{}")["Payload"].read())

    assert answer() == "hello"  # by the grant: neither policy lets the role
    key.says(deny("kms:Decrypt", Principal="*"))
    with pytest.raises(ClientError, match=r"KMSAccessDeniedException.*unable to decrypt the environment"):
        answer()
    key.says(by_services(aws))
    aws.client("kms").disable_key(KeyId=key.arn)
    with pytest.raises(ClientError, match="KMSDisabledException"):
        answer()
    functions.delete_function(FunctionName=name)


def test_cloudwatch_logs_uses_a_key_only_where_it_is_let(aws: EmbeddedAws, key: Key) -> None:
    logs, name = aws.client("logs"), unique("/aws/test")
    arn = f"arn:aws:logs:us-east-1:{aws.plan.account_id}:log-group:"
    with pytest.raises(ClientError, match=f"not allowed to be used with LogGroup '{arn}{name}'"):
        logs.create_log_group(logGroupName=name, kmsKeyId=key.arn)
    stack = unique("logs")
    group = {"LogGroupName": name, "KmsKeyId": key.arn}
    template = {"Resources": {"Group": {"Type": "AWS::Logs::LogGroup", "Properties": group}}}
    assert deploy(aws, stack, template) == "ROLLBACK_COMPLETE"
    assert "not allowed to be used with LogGroup" in reasons(aws, stack)

    def admit(pattern: str) -> None:
        actions = ["kms:Encrypt*", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
        condition = {"ArnLike": {"kms:EncryptionContext:aws:logs:arn": f"{arn}{pattern}"}}
        service = {"Service": "logs.us-east-1.amazonaws.com"}
        key.says(allow(actions, Principal=service, Condition=condition))

    admit("/other/*")
    with pytest.raises(ClientError, match="not allowed"):
        logs.create_log_group(logGroupName=name, kmsKeyId=key.arn)
    admit("/aws/*")
    logs.create_log_group(logGroupName=name, kmsKeyId=key.arn)
    assert logs.filter_log_events(logGroupName=name)["events"] == []
    admit("/other/*")
    with pytest.raises(ClientError, match="AccessDeniedException"):
        logs.filter_log_events(logGroupName=name)
    logs.delete_log_group(logGroupName=name)
