"""A secret is rotated by a function, step by step; its labels tell how far that came, in both regions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import PEER, EmbeddedAws, delete, deploy, eventually, unique
from tests.integration.embedded.sessions import Role, allow
from tests.integration.embedded.zipped import zipped

# Notes what it was asked, with what the version held then, in a secret that every process of it can read;
# fails where the secret says so.
_ROTATES = """
import json
import os
import boto3
secrets = boto3.client("secretsmanager")
notes = os.environ["NOTES"]

def held(event):
    try:
        version = event["ClientRequestToken"]
        return secrets.get_secret_value(SecretId=event["SecretId"], VersionId=version)["SecretString"]
    except secrets.exceptions.ResourceNotFoundException:
        return None

def handle(event, context):
    secret, step, token = event["SecretId"], event["Step"], event["ClientRequestToken"]
    labels = secrets.describe_secret(SecretId=secret)["VersionIdsToStages"]
    heard = json.loads(secrets.get_secret_value(SecretId=notes)["SecretString"])
    heard.append([step, token, held(event), sorted(labels[token])])
    secrets.put_secret_value(SecretId=notes, SecretString=json.dumps(heard))
    current = secrets.get_secret_value(SecretId=secret)
    fails = json.loads(current["SecretString"]).get("fails")
    if fails == step and sum(told[0] == step for told in heard) < 3:
        raise RuntimeError("not yet")
    if step == "createSecret" and held(event) is None:
        secrets.put_secret_value(
            SecretId=secret,
            ClientRequestToken=token,
            SecretString=json.dumps({"number": json.loads(current["SecretString"])["number"] + 1}),
            VersionStages=["AWSPENDING"],
        )
    if step == "finishSecret":
        secrets.update_secret_version_stage(
            SecretId=secret,
            VersionStage="AWSCURRENT",
            MoveToVersionId=token,
            RemoveFromVersionId=current["VersionId"],
        )
"""
STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]


@dataclass(frozen=True)
class Rotated:
    """A secret with a replica, and a function that may rotate it once it is let in."""

    aws: EmbeddedAws
    name: str
    arn: str
    function: str

    def let_in(self, secret_arn: str | None = None) -> None:
        self.aws.client("lambda").add_permission(
            FunctionName=self.name,
            StatementId=unique("sid"),
            Action="lambda:InvokeFunction",
            Principal="secretsmanager.amazonaws.com",
            SourceAccount=self.aws.plan.account_id,
            SourceArn=secret_arn or self.arn,
        )

    def begin(self, **request: Any) -> Any:
        return self.aws.client("secretsmanager").rotate_secret(
            SecretId=self.name,
            RotationLambdaARN=self.function,
            RotationRules={"AutomaticallyAfterDays": 30},
            **request,
        )

    def put(self, **value: Any) -> None:
        self.aws.client("secretsmanager").put_secret_value(SecretId=self.name, SecretString=json.dumps(value))

    def heard(self) -> list[Any]:
        notes = self.aws.client("secretsmanager").get_secret_value(SecretId=f"{self.name}-notes")
        heard: list[Any] = json.loads(notes["SecretString"])
        return heard

    def described(self, region: str = "us-east-1") -> dict[str, Any]:
        described: dict[str, Any] = self.aws.client("secretsmanager", region).describe_secret(
            SecretId=self.name
        )
        return described

    def value(self, region: str = "us-east-1", **which: str) -> Any:
        client = self.aws.client("secretsmanager", region)
        return json.loads(client.get_secret_value(SecretId=self.name, **which)["SecretString"])

    def labels(self, region: str = "us-east-1") -> dict[str, list[str]]:
        labels = self.described(region)["VersionIdsToStages"]
        return {version: sorted(held) for version, held in labels.items()}


@pytest.fixture
def rotated(aws: EmbeddedAws) -> Iterator[Rotated]:
    secrets, functions, name = aws.client("secretsmanager"), aws.client("lambda"), unique("rotated")
    arn = secrets.create_secret(Name=name, SecretString='{"number": 0}')["ARN"]
    secrets.create_secret(Name=f"{name}-notes", SecretString="[]")
    secrets.replicate_secret_to_regions(SecretId=name, AddReplicaRegions=[{"Region": PEER}])
    role = Role(aws, allow(["logs:*", "secretsmanager:*"]), service="lambda.amazonaws.com")
    function = functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="index.handle",
        Role=role.arn,
        Timeout=20,
        Environment={"Variables": {"NOTES": f"{name}-notes"}},
        Code={"ZipFile": zipped(_ROTATES)},
    )
    yield Rotated(aws, name, arn, function["FunctionArn"])
    functions.delete_function(FunctionName=name)
    for secret in (name, f"{name}-notes"):
        secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)


def test_a_function_rotates_a_secret_in_four_steps_and_its_replica_follows(rotated: Rotated) -> None:
    rotated.let_in()
    (old,) = rotated.labels()
    new = rotated.begin()["VersionId"]
    eventually(lambda: rotated.described().get("LastRotatedDate"), "the rotation ends")
    assert rotated.heard() == [
        [STEPS[0], new, None, ["AWSPENDING"]],
        *([step, new, '{"number": 1}', ["AWSPENDING"]] for step in STEPS[1:]),
    ]
    for region in ("us-east-1", PEER):
        assert rotated.labels(region) == {new: ["AWSCURRENT", "AWSPENDING"], old: ["AWSPREVIOUS"]}
        assert rotated.value(region) == {"number": 1}
        assert rotated.value(region, VersionStage="AWSPREVIOUS") == {"number": 0}
    newer = rotated.begin()["VersionId"]
    eventually(lambda: rotated.value(PEER) == {"number": 2}, "it is rotated again")
    assert rotated.labels() == {newer: ["AWSCURRENT", "AWSPENDING"], new: ["AWSPREVIOUS"]}
    assert rotated.described()["RotationEnabled"]


def test_a_rotation_that_failed_begins_again_and_no_other_begins_meanwhile(rotated: Rotated) -> None:
    rotated.put(number=7, fails="testSecret")
    rotated.let_in()
    new = rotated.begin()["VersionId"]
    eventually(lambda: len(rotated.heard()) >= 3, "the third step fails")
    with pytest.raises(ClientError, match="A previous rotation isn't complete"):
        rotated.begin()
    eventually(lambda: rotated.described().get("LastRotatedDate"), "the rotation ends")
    steps = [told[0] for told in rotated.heard()]
    assert steps == STEPS[:3] * 2 + STEPS
    assert {told[1] for told in rotated.heard()} == {new}
    assert rotated.value() == {"number": 8}


def test_a_function_is_not_asked_to_rotate_what_its_policy_does_not_let_in(rotated: Rotated) -> None:
    with pytest.raises(ClientError, match="Secrets Manager cannot invoke the specified Lambda function"):
        rotated.begin()
    rotated.let_in(f"{rotated.arn}-other")
    with pytest.raises(ClientError, match="Secrets Manager cannot invoke"):
        rotated.begin()
    assert not rotated.described()["RotationEnabled"]
    assert rotated.heard() == []


def test_a_replica_is_not_rotated(rotated: Rotated) -> None:
    with pytest.raises(ClientError, match="replica"):
        rotated.aws.client("secretsmanager", PEER).rotate_secret(
            SecretId=rotated.name, RotationLambdaARN=rotated.function
        )


def test_a_token_is_for_one_value_and_a_label_for_one_version(rotated: Rotated) -> None:
    secrets = rotated.aws.client("secretsmanager")
    (old,) = rotated.labels()
    first, second = ("a" * 32, "b" * 32)
    for token in (first, second):
        for _ in range(2):  # the same again is the same
            secrets.put_secret_value(
                SecretId=rotated.name,
                ClientRequestToken=token,
                SecretString=f'"{token}"',
                VersionStages=["AWSPENDING"],
            )
    assert rotated.labels() == {old: ["AWSCURRENT"], second: ["AWSPENDING"]}
    with pytest.raises(ClientError, match="ResourceExistsException"):
        secrets.put_secret_value(
            SecretId=rotated.name,
            ClientRequestToken=second,
            SecretString='"else"',
            VersionStages=["AWSPENDING"],
        )
    assert rotated.value(VersionStage="AWSPENDING") == second
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        rotated.value(VersionId=old, VersionStage="AWSPENDING")


def schedule(rotated: Rotated, **properties: Any) -> dict[str, Any]:
    return {
        "Resources": {
            "Schedule": {
                "Type": "AWS::SecretsManager::RotationSchedule",
                "Properties": {
                    "SecretId": rotated.name,
                    "RotationLambdaARN": rotated.function,
                    "RotationRules": {"ScheduleExpression": "rate(30 days)"},
                    **properties,
                },
            }
        },
        "Outputs": {"Secret": {"Value": {"Ref": "Schedule"}}},
    }


def test_a_schedule_that_does_not_rotate_at_once_only_tests_its_configuration(rotated: Rotated) -> None:
    aws, stack = rotated.aws, unique("schedule")
    assert deploy(aws, stack, schedule(rotated)) == "ROLLBACK_COMPLETE"  # nobody let Secrets Manager in
    delete(aws, stack)
    rotated.let_in()
    before = rotated.labels()
    assert deploy(aws, stack, schedule(rotated, RotateImmediatelyOnUpdate=False)) == "CREATE_COMPLETE"
    (told,) = eventually(rotated.heard, "the function is tried")
    assert told[0] == "testSecret"
    assert told[2:] == [None, ["AWSPENDING"]]
    eventually(lambda: rotated.labels() == before, "the version of the test is removed")
    described = rotated.described()
    assert described["RotationEnabled"]
    assert described["RotationLambdaARN"] == rotated.function
    assert described["RotationRules"] == {"ScheduleExpression": "rate(30 days)"}
    assert "NextRotationDate" in described
    assert deploy(aws, stack, schedule(rotated)) == "UPDATE_COMPLETE"
    eventually(lambda: rotated.value() == {"number": 1}, "an update that says nothing else rotates at once")
    assert delete(aws, stack) == "DELETE_COMPLETE"
    assert not rotated.described()["RotationEnabled"]
