"""Flow logs: described as EC2 does, and records of what the lab says passed, or did not."""

import gzip
from typing import Any

from lab.flows import Flows
from lab.network import Obstacle, Placement
from tests.integration.embedded.embedded_aws import (
    HOME,
    EmbeddedAws,
    delete,
    deploy,
    eventually,
    outputs,
    reasons,
    unique,
)

ROLE_GRANTS = [f"logs:{name}" for name in ("CreateLogStream", "PutLogEvents", "DescribeLogStreams")]


def network(name: str, *, trusted: str = "vpc-flow-logs.amazonaws.com", **flow_log: Any) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": trusted}, "Action": "sts:AssumeRole"}
    granted = {"Effect": "Allow", "Action": ROLE_GRANTS, "Resource": "*"}
    policy = {"PolicyName": "all", "PolicyDocument": {"Version": "2012-10-17", "Statement": [granted]}}
    properties: dict[str, Any] = {
        "ResourceType": "VPC",
        "ResourceId": {"Ref": "Vpc"},
        "TrafficType": "ALL",
        **flow_log,
    }
    if "LogDestinationType" not in flow_log:
        properties.update(
            LogGroupName={"Ref": "Group"}, DeliverLogsPermissionArn={"Fn::GetAtt": ["Role", "Arn"]}
        )
    block = {"CidrBlock": "10.7.0.0/24", "VpcId": {"Ref": "Vpc"}}
    return {
        "Resources": {
            "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.7.0.0/16"}},
            "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": block},
            "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name}},
            "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}},
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]},
                    "Policies": [policy],
                },
            },
            "FlowLog": {"Type": "AWS::EC2::FlowLog", "Properties": properties},
        },
        "Outputs": {"Subnet": {"Value": {"Ref": "Subnet"}}, "Id": {"Value": {"Ref": "FlowLog"}}},
    }


def connect(aws: EmbeddedAws, subnet: str) -> None:
    """What the lab's other parts would note: one connection that is let through, and one that is not."""
    target = aws.plan.regions[HOME]
    with Flows(aws.plan) as flows:
        origin = Placement((subnet,), ("sg-1",))
        flows.to_aws(HOME, origin, 40001, target)
        flows.to_database(HOME, origin, 40002, target, Obstacle.NOT_LET_OUT)


def test_flow_logs_deliver_records_to_a_log_group(aws: EmbeddedAws) -> None:
    name = unique("flows")
    assert deploy(aws, name, network(name)) == "CREATE_COMPLETE", reasons(aws, name)
    made = outputs(aws, name)
    connect(aws, made["Subnet"])
    logs = aws.client("logs")
    records = eventually(
        lambda: (found := logs.filter_log_events(logGroupName=name)["events"])[1:] and found, "two records"
    )
    passed, stopped = (record["message"].split() for record in records)
    account = aws.plan.account_id
    assert passed[:2] == ["2", account]
    assert passed[3].startswith("10.7.0.")
    assert (passed[5:8], passed[12:]) == (["40001", "443", "6"], ["ACCEPT", "OK"])
    assert (stopped[5:8], stopped[12:]) == (["40002", "5432", "6"], ["REJECT", "OK"])
    (stream,) = logs.describe_log_streams(logGroupName=name)["logStreams"]
    assert stream["logStreamName"] == f"{passed[2]}-all"
    (described,) = aws.client("ec2").describe_flow_logs(FlowLogIds=[made["Id"]])["FlowLogs"]
    assert described["DeliverLogsStatus"] == "SUCCESS"
    assert described["LogGroupName"] == name
    assert delete(aws, name) == "DELETE_COMPLETE", reasons(aws, name)
    assert aws.client("ec2").describe_flow_logs(FlowLogIds=[made["Id"]])["FlowLogs"] == []


def test_flow_logs_deliver_chosen_fields_of_rejected_traffic_to_a_bucket(aws: EmbeddedAws) -> None:
    name = unique("flows")
    to_bucket = {
        "LogDestinationType": "s3",
        "LogDestination": f"arn:aws:s3:::{name}/kept",
        "LogFormat": "${dstport} ${action} ${flow-direction}",
        "TrafficType": "REJECT",
    }
    template = network(name, **to_bucket)
    template["Resources"]["FlowLog"]["DependsOn"] = ["Bucket"]
    assert deploy(aws, name, template) == "CREATE_COMPLETE", reasons(aws, name)
    connect(aws, outputs(aws, name)["Subnet"])
    client = aws.client("s3")
    (item,) = eventually(lambda: client.list_objects_v2(Bucket=name).get("Contents"), "a file")
    assert item["Key"].startswith(f"kept/AWSLogs/{aws.plan.account_id}/vpcflowlogs/{HOME}/")
    content = gzip.decompress(client.get_object(Bucket=name, Key=item["Key"])["Body"].read()).decode()
    assert content.splitlines() == ["dstport action flow-direction", "5432 REJECT egress"]


def test_a_role_that_flow_logs_cannot_assume_is_refused(aws: EmbeddedAws) -> None:
    name = unique("flows")
    assert deploy(aws, name, network(name, trusted="lambda.amazonaws.com")) == "ROLLBACK_COMPLETE"
    assert "Unable to assume given IAM role" in reasons(aws, name)


def test_a_role_without_a_grant_shows_as_an_access_error(aws: EmbeddedAws) -> None:
    name = unique("flows")
    template = network(name)
    (policy,) = template["Resources"]["Role"]["Properties"]["Policies"]
    policy["PolicyDocument"]["Statement"][0]["Action"] = "logs:CreateLogStream"
    assert deploy(aws, name, template) == "CREATE_COMPLETE", reasons(aws, name)
    made = outputs(aws, name)
    connect(aws, made["Subnet"])

    def status() -> bool:
        (described,) = aws.client("ec2").describe_flow_logs(FlowLogIds=[made["Id"]])["FlowLogs"]
        return (described["DeliverLogsStatus"], described.get("DeliverLogsErrorMessage")) == (
            "FAILED",
            "Access error",
        )

    eventually(status, "the delivery is seen to fail")
