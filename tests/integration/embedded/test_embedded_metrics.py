"""What DynamoDB reports of itself, in the region that answered."""

from typing import Any

from tests.integration.embedded.embedded_aws import HOME, PEER, EmbeddedAws, deploy, reasons, unique


def table(name: str) -> dict[str, Any]:
    properties = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"},
        "Replicas": [{"Region": HOME}, {"Region": PEER}],
    }
    return {"Resources": {"Table": {"Type": "AWS::DynamoDB::GlobalTable", "Properties": properties}}}


def samples(aws: EmbeddedAws, region: str, name: str, **dimensions: str) -> float:
    found = aws.client("cloudwatch", region).get_metric_statistics(
        Namespace="AWS/DynamoDB",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime="2020-01-01T00:00:00Z",
        EndTime="2100-01-01T00:00:00Z",
        Period=86400,
        Statistics=["SampleCount"],
    )
    return float(sum(one["SampleCount"] for one in found["Datapoints"]))


def test_requests_to_a_table_are_timed_where_they_were_answered(aws: EmbeddedAws) -> None:
    name = unique("timed")
    assert deploy(aws, name, table(name)) == "CREATE_COMPLETE", reasons(aws, name)
    aws.client("dynamodb", PEER).put_item(TableName=name, Item={"id": {"S": "1"}})
    aws.client("dynamodb", PEER).get_item(TableName=name, Key={"id": {"S": "1"}})
    for operation in ("PutItem", "GetItem"):
        own = {"TableName": name, "Operation": operation}
        assert samples(aws, PEER, "SuccessfulRequestLatency", **own) == 1
        assert samples(aws, HOME, "SuccessfulRequestLatency", **own) == 0
    assert samples(aws, PEER, "ReplicationLatency", TableName=name, ReceivingRegion=HOME) == 1
    assert samples(aws, HOME, "ReplicationLatency", TableName=name, ReceivingRegion=PEER) == 0
