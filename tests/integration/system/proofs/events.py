"""What starts functions, and where what they could not do goes, in the words of their services."""

import json
from typing import Any

from tests.integration.system.comparison import only
from tests.integration.system.stacks import Resource

Found = dict[str, Any]


def _group(group: Resource) -> Found:
    found: Found = group.aws("scheduler").get_schedule_group(Name=group.physical_id)
    if found["State"] != "ACTIVE":
        raise LookupError(f"it is {found['State']}")
    return found


def _schedule(schedule: Resource) -> Found:
    found: Found = schedule.aws("scheduler").get_schedule(
        Name=schedule.physical_id, GroupName=schedule.properties["GroupName"]
    )
    return found


def _event_config(config: Resource) -> Found:
    name, qualifier = config.properties["FunctionName"], config.properties["Qualifier"]
    found: Found = config.aws("lambda").get_function_event_invoke_config(
        FunctionName=name, Qualifier=qualifier
    )
    _, function, version = found["FunctionArn"].rsplit(":", 2)
    return found | {"FunctionName": function, "Qualifier": version}


def _queue(queue: Resource) -> Found:
    attributes: Found = _attributes(queue, queue.physical_id)
    return attributes | {
        "QueueName": attributes["QueueArn"].rpartition(":")[2],
        "MessageRetentionPeriod": int(attributes["MessageRetentionPeriod"]),
    }


def _queue_policy(policy: Resource) -> Found:
    queue = only(policy.properties["Queues"])
    return {"Queues": [queue], "PolicyDocument": json.loads(_attributes(policy, queue)["Policy"])}


def _attributes(resource: Resource, url: str) -> Found:
    answer = resource.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    found: Found = answer["Attributes"]
    return found


def _rotation(rotation: Resource) -> Found:
    """By the function, as often as the template says; nothing was rotated because of it."""
    found: Found = rotation.aws("secretsmanager").describe_secret(SecretId=rotation.physical_id)
    if not found["RotationEnabled"]:
        raise LookupError("it is not rotated")
    return found | {"SecretId": found["ARN"]}


PROOFS = {
    "AWS::Lambda::EventInvokeConfig": _event_config,
    "AWS::SQS::Queue": _queue,
    "AWS::SQS::QueuePolicy": _queue_policy,
    "AWS::Scheduler::Schedule": _schedule,
    "AWS::Scheduler::ScheduleGroup": _group,
    "AWS::SecretsManager::RotationSchedule": _rotation,
}
