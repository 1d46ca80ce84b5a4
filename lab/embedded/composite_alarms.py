"""Alarms over alarms of their own region: as templates declare them. Judged whenever one of theirs changes.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Create_Composite_Alarm.html
"""

from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudwatch

from lab.embedded.alarms import require_actions
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked

TYPE = "AWS::CloudWatch::CompositeAlarm"
_UNMODELLED = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")


def register(handlers: Handlers) -> None:
    handlers[TYPE] = {"create": _create, "update": _update, "delete": _delete}


def _create(logical_id: str, properties: Properties, stack_name: str) -> Created:
    name = str(properties.get("AlarmName") or f"{stack_name}-{logical_id}")
    if name in cloudwatch._alarms or name in cloudwatch._composite_alarms:
        raise ResourceError(f"{name} already exists (AlreadyExists)")
    return _put(name, properties)


def _update(physical_id: str, _old: Properties, new: Properties, _stack_name: str, *_: Any) -> Created:
    return _put(physical_id, new)


def _put(name: str, properties: Properties) -> Created:
    if suppressed := [one for one in _UNMODELLED if one in properties]:
        raise ResourceError(f"This lab does not suppress actions: {', '.join(suppressed)}")
    require_actions(properties)
    request = {key: value for key, value in properties.items() if key != "Tags"}
    checked(cloudwatch._put_composite_alarm({}, {**request, "AlarmName": name}, False, is_json=True))
    arn = f"arn:aws:cloudwatch:{get_region()}:{get_account_id()}:alarm:{name}"
    cloudwatch._resource_tags[arn] = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
    return name, {"Arn": arn}


def _delete(physical_id: str, _properties: Properties) -> None:
    if physical_id in cloudwatch._composite_alarms:
        checked(cloudwatch._delete_alarms({}, {"AlarmNames": [physical_id]}, False, is_json=True))
