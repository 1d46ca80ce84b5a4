"""What can be measured of each part of a region; alarms and the dashboard ask for it by the part's name."""

from collections.abc import Iterable

from msgspec.structs import replace

from templates.api import OPERATIONS, STAGE, Operation
from templates.monitoring import Calculation, Metric, largest, percentage, total
from templates.policies import Value
from templates.tables import OPEN_INDEX, TablePlan


def operation(api: Value, asked: Operation, name: str, statistic: str) -> Metric:
    dimensions = {"ApiName": api, "Stage": STAGE, "Method": asked.method, "Resource": asked.path}
    return Metric("AWS/ApiGateway", name, dimensions, statistic)


def failed_requests(api: Value) -> Calculation:
    """In percent. Without health checks: a standby answers them 503, as it should."""
    failed, all_ = (
        [operation(api, asked, name, "Sum") for asked in OPERATIONS] for name in ("5XXError", "Count")
    )
    return percentage(failed, all_)


def function(name: Value, metric: str, statistic: str) -> Metric:
    return Metric("AWS/Lambda", metric, {"FunctionName": name}, statistic)


def cluster(identifier: Value, metric: str, statistic: str) -> Metric:
    return Metric("AWS/RDS", metric, {"DBClusterIdentifier": identifier}, statistic)


def ledger_lag(identifier: Value, writer_region: Value) -> Calculation:
    """In milliseconds, in the region of the copy. RDS tells it with the writer's region as a dimension;
    whether without as well, its documentation does not say, and on what nobody reports an alarm is silent.
    """
    alone = cluster(identifier, "AuroraGlobalDBReplicationLag", "Maximum")
    return largest([alone, replace(alone, dimensions={**alone.dimensions, "SourceRegion": writer_region})])


def throttled(table: str, plan: TablePlan) -> Calculation:
    """Requests DynamoDB turned away, of the table and of its index, which counts for itself.

    Zero where nothing was: an alarm on DynamoDB's metrics takes no datapoint for no change.
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    """
    counted: list[dict[str, Value]] = [{"TableName": table}]
    if plan.work_list:
        counted.append({"TableName": table, "GlobalSecondaryIndexName": OPEN_INDEX})
    return total(
        [
            Metric("AWS/DynamoDB", name, dimensions, "Sum")
            for dimensions in counted
            for name in ("ReadThrottleEvents", "WriteThrottleEvents")
        ]
    )


def replication_latency(table: str, receiving_region: Value) -> Metric:
    """In milliseconds; only eventually consistent tables have it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html
    """
    dimensions = {"TableName": table, "ReceivingRegion": receiving_region}
    return Metric("AWS/DynamoDB", "ReplicationLatency", dimensions, "Average")


def put_latency(table: str) -> Metric:
    """In milliseconds. A strongly consistent table answers once another region has the item, too."""
    return Metric(
        "AWS/DynamoDB", "SuccessfulRequestLatency", {"TableName": table, "Operation": "PutItem"}, "p99"
    )


def log_replication(source: Value, destination: Value, rule: str, metric: str, statistic: str) -> Metric:
    """How far behind it is, S3 reports in the destination's region; what failed, in the source's.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/repl-metrics.html
    """
    dimensions = {"SourceBucket": source, "DestinationBucket": destination, "RuleId": rule}
    return Metric("AWS/S3", metric, dimensions, statistic)


def counted(namespace: str, function_service: str, name: str) -> Metric:
    """What our own code counts; Powertools names the function by its ``service``."""
    return Metric(namespace, name, {"service": function_service}, "Sum")


def reported(namespace: str, function_service: str, name: str) -> Metric:
    """What our own code says of a state, as often as it looks: the worst of it."""
    return Metric(namespace, name, {"service": function_service}, "Maximum")


def waiting(queue: Value) -> Metric:
    """Messages that nobody read. SQS reports nothing of a queue that was not used for six hours.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
    """
    return Metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": queue}, "Maximum")


def ports_denied(gateways: Iterable[Value]) -> Calculation:
    return total(
        [Metric("AWS/NATGateway", "ErrorPortAllocation", {"NatGatewayId": g}, "Sum") for g in gateways]
    )


def health(check: Value) -> Metric:
    """1 while Route 53 finds the region healthy; it tells so in us-east-1 only."""
    return Metric("AWS/Route53", "HealthCheckStatus", {"HealthCheckId": check}, "Minimum")
