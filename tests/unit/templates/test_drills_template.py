"""Faults that AWS makes for a drill: which, on what, by whom, and what ends them."""

import copy
from typing import Any

import pytest

from tests.rules.drilling_laws import drills_touch_only_what_they_name
from tests.rules.reading import in_region, of_type, statements
from tests.rules.variants import Template, variant

REGION = "us-east-2"


@pytest.fixture(scope="module")
def service() -> Template:
    return in_region(variant("default").templates["service"], REGION)


def arns(drill: dict[str, Any]) -> list[Any]:
    return [arn["Fn::Sub"] for target in drill["Targets"].values() for arn in target["ResourceArns"]]


def ours(service: str, resource: str) -> str:
    return f"arn:${{AWS::Partition}}:{service}:{REGION}:${{AWS::AccountId}}:{resource}"


def test_each_is_found_by_the_name_of_its_scenario(service: Template) -> None:
    found = {drill["Tags"]["Name"] for _, drill in of_type(service, "AWS::FIS::ExperimentTemplate")}
    assert found == {
        f"payments-drill-{scenario}-secondary-prod"
        for scenario in ("region-loss", "partition", "ledger-loss")
    }


def test_a_lost_region_is_one_whose_private_subnets_nothing_reaches(service: Template) -> None:
    drill = service["Resources"]["DrillRegionLoss"]["Properties"]
    (action,) = drill["Actions"].values()
    assert action["ActionId"] == "aws:network:disrupt-connectivity"
    assert action["Parameters"] == {"scope": "all", "duration": "PT20M"}
    subnets = [{**values, "text": text} for text, values in arns(drill)]
    ids = {"Fn::Split": [",", {"Fn::ImportValue": "payments-prod-Network-PrivateSubnetIds"}]}
    assert subnets == [
        {"text": ours("ec2", "subnet/${Subnet}"), "Subnet": {"Fn::Select": [zone, ids]}} for zone in range(3)
    ]


def test_a_partition_pauses_every_table_that_both_regions_have(service: Template) -> None:
    drill = service["Resources"]["DrillPartition"]["Properties"]
    root = variant("default").templates["root"]
    tables = [table["TableName"] for _, table in of_type(root, "AWS::DynamoDB::GlobalTable")]
    assert sorted(arns(drill)) == sorted(ours("dynamodb", f"table/{table}") for table in tables)
    granted = dict(_granted(service, "DrillPartitionRole"))
    assert "dynamodb:InjectError" in granted["RefuseRequests"]["Action"]  # strongly consistent ones need it
    streams = [arn for arn in granted["PauseReplication"]["Resource"] if "/stream/" in arn["Fn::Sub"]]
    assert streams == [{"Fn::Sub": ours("dynamodb", "table/payments-sessions-prod/stream/*")}]


def test_a_lost_ledger_is_that_of_this_region(service: Template) -> None:
    drill = service["Resources"]["DrillLedgerLoss"]["Properties"]
    data = in_region(variant("default").templates["data"], REGION)
    made = [instance["DBInstanceIdentifier"] for _, instance in of_type(data, "AWS::RDS::DBInstance")]
    assert arns(drill) == [ours("rds", f"db:{name}") for name in made]


def test_where_faults_are_not_wanted_there_are_none() -> None:
    chosen = variant("no-faults")
    assert not list(of_type(chosen.templates["service"], "AWS::FIS::ExperimentTemplate"))
    assert not [title for title in chosen.templates["service"]["Resources"] if title.startswith("Drill")]
    assert "DrillBoundary" not in chosen.templates["root"]["Resources"]
    assert "drill-boundary" not in str(chosen.templates["root"])


def aim(drill: dict[str, Any], target: Any) -> None:
    next(iter(drill["Targets"].values()))["ResourceArns"] = [target]


@pytest.mark.parametrize(
    ("title", "change", "complaint"),
    [
        ("DrillPartition", lambda drill: aim(drill, {"Fn::Sub": "arn:aws:dynamodb:*:1:table/x"}), "aimed at"),
        ("DrillPartition", lambda drill: drill["Targets"]["Tables"].pop("ResourceArns"), "whatever it finds"),
        ("DrillPartition", lambda drill: drill.pop("LogConfiguration"), "leaves no log"),
        ("DrillPartition", lambda drill: drill.pop("ExperimentOptions"), "is not there"),
        (
            "DrillPartition",
            lambda drill: drill.update(StopConditions=[{"Source": "none"}]),
            "DrillPartition is stopped by",
        ),
        (
            "DrillPartition",
            lambda drill: drill["RoleArn"].update({"Fn::GetAtt": ["DrillLedgerLossRole", "Arn"]}),
            "shared by drills",
        ),
        (
            "DrillLedgerLossRole",
            lambda role: role["Policies"][0]["PolicyDocument"]["Statement"][0].update(Resource=["*"]),
            "DrillLedgerLoss may rds:RebootDBInstance more than what it names",
        ),
        (
            "DrillLedgerLossRole",
            lambda role: role["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition"),
            "lent to whoever asks",
        ),
    ],
)
def test_what_a_drill_must_not_do_is_noticed(title: str, change: Any, complaint: str) -> None:
    chosen = variant("default")
    mutant = copy.deepcopy(chosen.templates["service"])
    change(mutant["Resources"][title]["Properties"])
    broken = list(drills_touch_only_what_they_name("service", mutant, chosen))
    assert any(complaint in sentence for sentence in broken), broken


def _granted(service: Template, role: str) -> list[tuple[str, dict[str, Any]]]:
    policies = service["Resources"][role]["Properties"]["Policies"]
    return [(statement["Sid"], dict(statement)) for _, statement in statements(policies)]
