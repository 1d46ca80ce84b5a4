"""A stack left as a failed update left it: repaired by the next build, or taken back to the last one."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.embedded.embedded_aws import EmbeddedAws, deploy, eventually, outcome, unique
from tests.integration.embedded.sessions import Role, allow
from tests.integration.embedded.zipped import zipped

ANSWERS = """
import json
import urllib.request
seen = []
def handle(event, context):
    if event.get("asks"):
        return seen
    wanted = event["ResourceProperties"].get("Value")
    seen.append([event["RequestType"], wanted])
    answer = {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"PhysicalResourceId": "probe", "Status": "FAILED" if wanted == "broken" else "SUCCESS"}
    answer["Reason"] = "as asked"
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request)
"""


class Deployment:
    """What `sam deploy` does: a change set, executed without rollback when there is anything in it."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._client = aws.client("cloudformation")
        self.stack, self.function = unique("failing"), unique("probe")
        self.parameter = f"/{self.stack}"

    def template(self, early: str, probe: str, late: str) -> dict[str, Any]:
        """Three resources, one after the other; the second fails when it is to be 'broken'."""
        token = f"arn:aws:lambda:us-east-1:{self._aws.plan.account_id}:function:{self.function}"
        probed = {"ServiceToken": token, "Value": probe}
        return {
            "Resources": {
                "Early": self._parameter("early", early),
                "Probe": {"Type": "Custom::Probe", "DependsOn": "Early", "Properties": probed},
                "Late": {**self._parameter("late", late), "DependsOn": "Probe"},
            }
        }

    def _parameter(self, name: str, value: str) -> dict[str, Any]:
        properties = {"Name": f"{self.parameter}/{name}", "Type": "String", "Value": value}
        return {"Type": "AWS::SSM::Parameter", "Properties": properties}

    def change_set(self, template: dict[str, Any]) -> tuple[str, dict[str, str]]:
        """Its name, and what it would do to which resource."""
        name = unique("change")
        self._client.create_change_set(
            StackName=self.stack, ChangeSetName=name, TemplateBody=json.dumps(template)
        )
        described = self._client.describe_change_set(StackName=self.stack, ChangeSetName=name)
        changes = [change["ResourceChange"] for change in described["Changes"]]
        return name, {change["LogicalResourceId"]: change["Action"] for change in changes}

    def execute(self, change_set: str) -> str:
        self._client.execute_change_set(StackName=self.stack, ChangeSetName=change_set, DisableRollback=True)
        return outcome(self._aws, self.stack)

    def values(self) -> dict[str, str]:
        found = self._aws.client("ssm").get_parameters_by_path(Path=self.parameter)["Parameters"]
        return {one["Name"].rpartition("/")[2]: one["Value"] for one in found}

    def probed(self) -> list[list[str]]:
        answer = self._aws.client("lambda").invoke(FunctionName=self.function, Payload=b'{"asks": true}')
        seen: list[list[str]] = json.loads(answer["Payload"].read())
        return seen


@pytest.fixture
def deployment(aws: EmbeddedAws) -> Iterator[Deployment]:
    """Deployed once, then updated in vain: the first resource is new, the second failed, the third is old."""
    made = Deployment(aws)
    role = Role(aws, allow("logs:*"), service="lambda.amazonaws.com")
    functions = aws.client("lambda")
    functions.create_function(
        FunctionName=made.function,
        Runtime="python3.11",
        Handler="index.handle",
        Role=role.arn,
        Code={"ZipFile": zipped(ANSWERS)},
    )
    assert deploy(aws, made.stack, made.template("1", "1", "1")) == "CREATE_COMPLETE"
    name, changes = made.change_set(made.template("2", "broken", "2"))
    assert changes == {"Early": "Modify", "Probe": "Modify", "Late": "Modify"}
    assert made.execute(name) == "UPDATE_FAILED"
    assert made.values() == {"early": "2", "late": "1"}
    yield made
    aws.client("cloudformation").delete_stack(StackName=made.stack)
    eventually(lambda: outcome(aws, made.stack) == "DELETE_COMPLETE", "the stack is gone")
    functions.delete_function(FunctionName=made.function)


def test_the_build_before_takes_a_failed_update_back(deployment: Deployment) -> None:
    name, changes = deployment.change_set(deployment.template("1", "1", "1"))
    assert changes == {"Early": "Modify", "Probe": "Modify"}
    assert deployment.execute(name) == "UPDATE_COMPLETE"
    assert deployment.values() == {"early": "1", "late": "1"}
    assert deployment.probed() == [["Create", "1"], ["Update", "broken"], ["Update", "1"]]
    assert deployment.change_set(deployment.template("1", "1", "1"))[1] == {}


def test_a_repaired_build_goes_on_where_the_update_failed(deployment: Deployment) -> None:
    name, changes = deployment.change_set(deployment.template("2", "2", "2"))
    assert changes == {"Probe": "Modify", "Late": "Modify"}
    assert deployment.execute(name) == "UPDATE_COMPLETE"
    assert deployment.values() == {"early": "2", "late": "2"}
    assert deployment.probed() == [["Create", "1"], ["Update", "broken"], ["Update", "2"]]


def test_the_same_build_tries_again_what_failed(deployment: Deployment) -> None:
    name, changes = deployment.change_set(deployment.template("2", "broken", "2"))
    assert changes == {"Probe": "Modify", "Late": "Modify"}
    assert deployment.execute(name) == "UPDATE_FAILED"
    assert deployment.probed() == [["Create", "1"], ["Update", "broken"], ["Update", "broken"]]


def test_a_failed_update_can_be_rolled_back(aws: EmbeddedAws, deployment: Deployment) -> None:
    aws.client("cloudformation").rollback_stack(StackName=deployment.stack)
    assert outcome(aws, deployment.stack) == "UPDATE_ROLLBACK_COMPLETE"
    assert deployment.values() == {"early": "1", "late": "1"}
    assert deployment.probed()[-1] == ["Update", "1"]
