"""Experiment templates of Fault Injection Service: told as declared, refused where AWS would refuse."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.embedded.embedded_aws import EmbeddedAws, delete, deploy, outputs, reasons, unique
from tests.integration.embedded.sessions import Role, allow

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/one"


@dataclass(frozen=True)
class Drill:
    aws: EmbeddedAws
    name: str

    @property
    def fis(self) -> Any:
        return self.aws.client("fis")

    def template(self, **changes: Any) -> dict[str, Any]:
        properties = {
            "Description": "Tables are cut off",
            "RoleArn": "arn:aws:iam::123456789012:role/drill",
            "Targets": {
                "Tables": {
                    "ResourceType": "aws:dynamodb:global-table",
                    "ResourceArns": [TABLE],
                    "SelectionMode": "ALL",
                }
            },
            "Actions": {
                "partition": {
                    "ActionId": "aws:dynamodb:global-table-pause-replication",
                    "Parameters": {"duration": "PT20M"},
                    "Targets": {"Tables": "Tables"},
                }
            },
            "StopConditions": [{"Source": "none"}],
            "Tags": {"Name": self.name},
            **changes,
        }
        resource = {"Type": "AWS::FIS::ExperimentTemplate", "Properties": properties}
        return {"Resources": {"Drill": resource}, "Outputs": {"Id": {"Value": {"Ref": "Drill"}}}}

    def deployed(self, **changes: Any) -> str:
        status = deploy(self.aws, self.name, self.template(**changes))
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), reasons(self.aws, self.name)
        return outputs(self.aws, self.name)["Id"]

    def mine(self) -> list[dict[str, Any]]:
        found = self.fis.list_experiment_templates()["experimentTemplates"]
        return [one for one in found if one["tags"].get("Name") == self.name]


@pytest.fixture
def drill(aws: EmbeddedAws) -> Iterator[Drill]:
    made = Drill(aws, unique("drill"))
    yield made
    delete(aws, made.name)


def test_life_of_an_experiment_template(drill: Drill) -> None:
    template_id = drill.deployed()
    assert [one["id"] for one in drill.mine()] == [template_id]
    found = drill.fis.get_experiment_template(id=template_id)["experimentTemplate"]
    assert found["targets"]["Tables"]["resourceArns"] == [TABLE]
    assert found["actions"]["partition"]["parameters"] == {"duration": "PT20M"}
    tags = drill.fis.list_tags_for_resource(resourceArn=found["arn"])["tags"]
    assert tags["Name"] == drill.name

    assert drill.deployed(Description="For longer") == template_id
    assert drill.mine()[0]["description"] == "For longer"

    delete(drill.aws, drill.name)
    assert drill.mine() == []
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        drill.fis.get_experiment_template(id=template_id)


def test_a_template_is_of_its_region(drill: Drill) -> None:
    drill.deployed()
    elsewhere = drill.aws.client("fis", "us-east-2").list_experiment_templates()["experimentTemplates"]
    assert drill.name not in [one["tags"].get("Name") for one in elsewhere]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ActionId": "aws:ec2:stop-everything"}, "does not know the action aws:ec2:stop-everything"),
        ({"Parameters": {}}, "The action partition lacks duration"),
        ({"Targets": {"Tables": "Nobody"}}, "no target of type aws:dynamodb:global-table"),
    ],
)
def test_an_action_without_what_it_takes_is_refused(
    drill: Drill, changes: dict[str, Any], reason: str
) -> None:
    action = drill.template()["Resources"]["Drill"]["Properties"]["Actions"]["partition"]
    template = drill.template(Actions={"partition": {**action, **changes}})
    assert deploy(drill.aws, drill.name, template) == "ROLLBACK_COMPLETE"
    assert reason in json.dumps(reasons(drill.aws, drill.name))


def test_more_targets_than_the_quota_are_refused(drill: Drill) -> None:
    target = drill.template()["Resources"]["Drill"]["Properties"]["Targets"]["Tables"]
    template = drill.template(
        Targets={"Tables": {**target, "ResourceArns": [f"{TABLE}{n}" for n in range(6)]}}
    )
    assert deploy(drill.aws, drill.name, template) == "ROLLBACK_COMPLETE"
    assert "takes 1 to 5 targets" in json.dumps(reasons(drill.aws, drill.name))


def test_nothing_is_started_in_the_lab(drill: Drill) -> None:
    with pytest.raises(ClientError, match="The lab makes no faults of FIS"):
        drill.fis.start_experiment(experimentTemplateId=drill.deployed())


def test_who_may_read_one_may_not_read_another(drill: Drill) -> None:
    arn = drill.fis.get_experiment_template(id=drill.deployed())["experimentTemplate"]["arn"]
    reader = Role(drill.aws, allow("fis:GetExperimentTemplate", arn))
    fis = reader.client("fis")
    assert fis.get_experiment_template(id=arn.rpartition("/")[2])["experimentTemplate"]["arn"] == arn
    with pytest.raises(ClientError, match="AccessDenied"):
        fis.get_experiment_template(id="EXTanother")
