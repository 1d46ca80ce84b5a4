"""What an alarm does when its state changes, and the message it sends.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
"""

import json
import time
from collections.abc import Iterable
from typing import Any

from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch

from lab.embedded import notifications
from lab.embedded.handlers import Properties

ACTION_LISTS = ("AlarmActions", "OKActions", "InsufficientDataActions")
_REGIONS = {
    "us-east-1": "US East (N. Virginia)",
    "us-east-2": "US East (Ohio)",
    "us-west-2": "US West (Oregon)",
}


def act(alarm: Properties, old: str, new: str, why: str) -> None:
    """Tell the topics listed for the new state, and write down in the history whether that worked."""
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
        _record_action(alarm["AlarmName"], arn, refused)


def topics(actions: Iterable[str]) -> list[str]:
    return [arn for arn in actions if parse_arn(arn).service == "sns"]


def _record_action(name: str, arn: str, refused: str | None) -> None:
    done = f"Successfully executed action {arn}"
    summary = done if refused is None else f"Failed to execute action {arn}. Received error: {refused}"
    cloudwatch._history_entries().append(
        {
            "AlarmName": name,
            "AlarmType": "MetricAlarm",
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
        "Trigger": {name: alarm[name] for name in (*watched, *judged) if alarm.get(name) is not None},
    }


def _region_words() -> str:
    region = str(get_region())
    return _REGIONS.get(region, region)
