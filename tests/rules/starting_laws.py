"""Laws about what starts functions: by whom, when, and what becomes of a start that came to nothing."""

import re
from collections.abc import Iterator
from typing import Any

from tests.rules.reading import of_type, statements
from tests.rules.variants import Template, Variant

_RATE = re.compile(r"rate\((\d+) minutes?\)")


def schedules_start_one_function_each(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """By a role of their own, which lets them start that one and is lent to our schedules only."""
    roles: list[str] = []
    for title, schedule in of_type(template, "AWS::Scheduler::Schedule"):
        target = schedule["Target"]
        roles.append(target["RoleArn"]["Fn::GetAtt"][0])
        role = template["Resources"].get(roles[-1], {}).get("Properties", {})
        started = [
            statement["Resource"]
            for _, statement in statements(role.get("Policies", []))
            if statement["Action"] == ["lambda:InvokeFunction"]
        ]
        if started != [[target["Arn"]]]:
            yield f"{title} may start {started}"
        for _, statement in statements(role.get("AssumeRolePolicyDocument", {})):
            if set(statement.get("Condition", {}).get("StringEquals", {})) != _LENT_FOR:
                yield f"{title} has a role that is lent to whoever asks"
        if schedule.get("FlexibleTimeWindow") != {"Mode": "OFF"} or schedule.get("State") != "ENABLED":
            yield f"{title} does not start on time"
    yield from (f"{role} is shared by schedules" for role in set(roles) if roles.count(role) > 1)


_LENT_FOR = {"aws:SourceAccount", "aws:SourceArn"}


def what_came_to_nothing_is_kept(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """A start that failed, and a function that did: nobody waits for their answer."""
    queues = [{"Fn::GetAtt": [title, "Arn"]} for title, _ in of_type(template, "AWS::SQS::Queue")]
    configured = {
        config["FunctionName"]["Ref"]: config
        for _, config in of_type(template, "AWS::Lambda::EventInvokeConfig")
    }
    alarmed = {  # an alarm rings once: what it starts has to be tried again
        permission["FunctionName"]["Ref"]
        for _, permission in of_type(template, "AWS::Lambda::Permission")
        if permission["Principal"] == "lambda.alarms.cloudwatch.amazonaws.com"
    }
    for title, schedule in of_type(template, "AWS::Scheduler::Schedule"):
        target = schedule["Target"]
        if target.get("DeadLetterConfig", {}).get("Arn") not in queues:
            yield f"{title} forgets what it could not start"
        function = target["Arn"]["Fn::GetAtt"][0]
        config = configured.get(function, {})
        if config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination") not in queues:
            yield f"{function} forgets what failed"
        if config.get("MaximumRetryAttempts") != 0 and function not in alarmed:
            yield f"{function} makes a mistake twice"
        every = _seconds(schedule)
        for age in (
            config.get("MaximumEventAgeInSeconds"),
            target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds"),
        ):
            if age is None or age > max(every, 60):
                yield f"{function} is started late, after the next one"
        for role in (
            target["RoleArn"]["Fn::GetAtt"][0],
            template["Resources"][function]["Properties"]["Role"]["Fn::GetAtt"][0],
        ):
            if not any(_sends(one) for _, one in statements(template["Resources"][role])):
                yield f"{role} may not put anything into the queue"


def _seconds(schedule: Any) -> int:
    found = _RATE.fullmatch(schedule["ScheduleExpression"])
    return 60 * int(found[1]) if found else 0


def _sends(statement: Any) -> bool:
    return "sqs:SendMessage" in statement["Action"]


def queues_are_watched_and_over_tls_only(name: str, template: Template, variant: Variant) -> Iterator[str]:
    policies = {
        queue["Ref"]: policy["PolicyDocument"]["Statement"]
        for _, policy in of_type(template, "AWS::SQS::QueuePolicy")
        for queue in policy["Queues"]
    }
    watched = [
        dimension["Value"]
        for _, alarm in of_type(template, "AWS::CloudWatch::Alarm")
        for dimension in alarm.get("Dimensions", [])
        if dimension["Name"] == "QueueName" and alarm["Threshold"] == 0
    ]
    for title, queue in of_type(template, "AWS::SQS::Queue"):
        refused = [
            statement
            for statement in policies.get(title, [])
            if (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", ["sqs:*"])
            and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        ]
        if not refused:
            yield f"{title} takes messages without TLS"
        if queue["QueueName"] not in watched:
            yield f"{title} fills without anybody being told"
        if queue.get("MessageRetentionPeriod") != 14 * 24 * 3600:
            yield f"{title} forgets before 14 days are over"


def alarms_wait_for_what_they_watch(name: str, template: Template, variant: Variant) -> Iterator[str]:
    """An alarm about what a function says when it runs looks over at least as long as that takes to come."""
    every = {
        template["Resources"][schedule["Target"]["Arn"]["Fn::GetAtt"][0]]["Properties"]["Environment"][
            "Variables"
        ].get("POWERTOOLS_SERVICE_NAME", ""): _seconds(schedule)
        for _, schedule in of_type(template, "AWS::Scheduler::Schedule")
    }
    for title, alarm in of_type(template, "AWS::CloudWatch::Alarm"):
        said = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])}.get("service")
        if isinstance(said, str) and alarm["Period"] < every.get(said, 0):
            yield f"{title} is over before {said} runs again"
        functions = [one for one in alarm.get("Dimensions", []) if one["Name"] == "FunctionName"]
        if alarm.get("MetricName") == "Duration" and functions:
            function = next(
                one
                for _, one in of_type(template, "AWS::Lambda::Function")
                if one["FunctionName"] == functions[0]["Value"]
            )
            if alarm["Threshold"] >= 1000 * function["Timeout"]:
                yield f"{title} rings after the function is cut off"


LAWS = (
    schedules_start_one_function_each,
    what_came_to_nothing_is_kept,
    queues_are_watched_and_over_tls_only,
    alarms_wait_for_what_they_watch,
)
