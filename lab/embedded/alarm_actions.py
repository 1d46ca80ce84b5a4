"""What an alarm does when its state changes, and the message it sends to topics and functions.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
"""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch, lambda_svc

from lab.embedded import asynchronous, invocations, notifications
from lab.embedded.handlers import Properties

_INVOKER = "lambda.alarms.cloudwatch.amazonaws.com"
ACTION_LISTS = ("AlarmActions", "OKActions", "InsufficientDataActions")
_REGIONS = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-2": "US West (Oregon)",
}


def act(alarm: Properties, old: str, new: str, why: str) -> None:
    """What is listed for the new state; and write down in the history whether that worked."""
    if not alarm.get("ActionsEnabled", True):
        return
    kind = {"ALARM": "AlarmActions", "OK": "OKActions"}.get(new, "InsufficientDataActions")
    for arn in topics(alarm.get(kind) or ()):
        message = json.dumps(_message(alarm, old, new, why))
        refused = notifications.publish_as(
            "cloudwatch.amazonaws.com",
            source_arn=str(alarm["AlarmArn"]),
            topic_arn=arn,
            subject=f'{new}: "{alarm["AlarmName"]}" in {_region_words()}'[:100],
            message=message,
        )
        _record_action(alarm, arn, refused)
    for arn in _of("lambda", alarm.get(kind) or ()):
        _record_action(alarm, arn, _invoked(arn, alarm, old, new, why))


def topics(actions: Iterable[str]) -> list[str]:
    return _of("sns", actions)


def _of(service: str, actions: Iterable[str]) -> list[str]:
    return [arn for arn in actions if parse_arn(arn).service == service]


def _invoked(arn: str, alarm: Properties, old: str, new: str, why: str) -> str | None:
    """What kept the function from being invoked, if anything; nobody waits for what it does."""
    record, config, _ = lambda_svc._get_func_record_for_ref(arn)
    if record is None or config is None:
        return f"Function not found: {arn}"
    if invocations.refused(arn, _INVOKER, str(alarm["AlarmArn"])):
        return f"{_INVOKER} is not authorized to perform lambda:InvokeFunction on {arn}"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    event = {
        "source": "aws.cloudwatch",
        "alarmArn": alarm["AlarmArn"],
        "accountId": get_account_id(),
        "time": now,
        "region": get_region(),
        "alarmData": {
            "alarmName": alarm["AlarmName"],
            "state": {"value": new, "reason": why, "timestamp": now},
            "previousState": {"value": old},
            "configuration": {"description": alarm.get("AlarmDescription")},
        },
    }
    asynchronous.start(lambda_svc._execution_record_for_config(record, config), event)
    return None


def _record_action(alarm: Properties, arn: str, refused: str | None) -> None:
    done = f"Successfully executed action {arn}"
    summary = done if refused is None else f"Failed to execute action {arn}. Received error: {refused}"
    cloudwatch._history_entries().append(
        {
            "AlarmName": alarm["AlarmName"],
            "AlarmType": "CompositeAlarm" if "AlarmRule" in alarm else "MetricAlarm",
            "Timestamp": cloudwatch._ts_iso(time.time()),
            "HistoryItemType": "Action",
            "HistorySummary": summary,
            "HistoryData": json.dumps(
                {
                    "actionState": "Succeeded" if refused is None else "Failed",
                    "notificationResource": arn,
                    "error": refused,
                }
            ),
        }
    )


def _message(alarm: Properties, old: str, new: str, why: str) -> dict[str, Any]:
    """That of a composite alarm has its rule in the place of what an alarm watches."""
    watched = (
        "MetricName",
        "Namespace",
        "Statistic",
        "ExtendedStatistic",
        "Unit",
        "Dimensions",
        "Period",
        "Metrics",
    )
    judged = ("EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "Threshold", "TreatMissingData")
    return {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription"),
        "AWSAccountId": get_account_id(),
        "NewStateValue": new,
        "NewStateReason": why,
        "StateChangeTime": cloudwatch._ts_iso(time.time()),
        "Region": _region_words(),
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": old,
        **{kind: list(alarm.get(kind) or ()) for kind in ACTION_LISTS},
        **(
            {"AlarmRule": alarm["AlarmRule"]}
            if "AlarmRule" in alarm
            else {
                "Trigger": {name: alarm[name] for name in (*watched, *judged) if alarm.get(name) is not None}
            }
        ),
    }


def _region_words() -> str:
    region = str(get_region())
    return _REGIONS.get(region, region)
