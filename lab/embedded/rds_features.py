"""What RDS keeps of a cluster's and an instance's features, which MiniStack forgets: log exports, monitoring.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_LogAccess.Procedural.UploadtoCloudWatch.html
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_Monitoring.OS.Enabling.html: enhanced
monitoring needs a role that `monitoring.rds.amazonaws.com` may assume.
"""

import re
from collections.abc import Callable
from typing import Any

from ministack.core.responses import get_account_id, get_region
from ministack.services import iam, rds

from lab.embedded import service_roles
from lab.embedded.handlers import ResourceError, Response
from lab.embedded.keys import require_key

Parameters = dict[str, Any]
Record = dict[str, Any]
_MINOR = "AutoMinorVersionUpgrade"
_EXPORTS = "_log_exports"
_LOG_TYPES = ("postgresql", "instance", "iam-db-auth-error")
_INTERVALS = (0, 1, 5, 10, 15, 30, 60)
_GRANTS = ("logs:CreateLogStream", "logs:PutLogEvents")


def install() -> None:
    rds._cluster_xml = _describing(rds._cluster_xml)
    rds._instance_xml = _describing(rds._instance_xml)


def log_exports(record: Record) -> list[str]:
    return list(record.get(_EXPORTS, ()))


def note_cluster(cluster: Record, parameters: Parameters) -> None:
    """Keeps which logs are exported; a parameter that is not there changes nothing."""
    if upgrade := rds._p(parameters, _MINOR):
        cluster[_MINOR] = upgrade
    exports = _members(parameters, "EnableCloudwatchLogsExports")
    more = _members(parameters, "CloudwatchLogsExportConfiguration.EnableLogTypes")
    less = _members(parameters, "CloudwatchLogsExportConfiguration.DisableLogTypes")
    wanted = exports or log_exports(cluster)
    cluster[_EXPORTS] = sorted({*wanted, *more} - set(less))


def cluster_refusal(parameters: Parameters) -> Response | None:
    unknown = [name for name in _members(parameters, "EnableCloudwatchLogsExports") if name not in _LOG_TYPES]
    if unknown:
        return _refused(
            "InvalidParameterCombination",
            f"You cannot use the log types '{', '.join(unknown)}' with engine version aurora-postgresql. "
            "For supported log types, see the documentation.",
        )
    group = rds._p(parameters, "DBClusterParameterGroupName")
    if group and group not in rds._db_cluster_param_groups and not group.startswith("default."):
        return _refused("DBClusterParameterGroupNotFound", f"DBClusterParameterGroup not found: {group}", 404)
    return None


def instance_refusal(parameters: Parameters) -> Response | None:
    interval = int(rds._p(parameters, "MonitoringInterval") or 0)
    role = rds._p(parameters, "MonitoringRoleArn")
    if interval not in _INTERVALS:
        return _refused(
            "InvalidParameterValue",
            f"{interval} is not a valid monitoring interval. Valid intervals are {_INTERVALS}",
        )
    if interval and not role:
        return _refused(
            "InvalidParameterCombination",
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.",
        )
    if role and _cannot_monitor(role):
        return _refused(
            "InvalidParameterValue",
            "IAM role ARN value is invalid or does not include the required permissions for: "
            "ENHANCED_MONITORING",
        )
    group = rds._p(parameters, "DBParameterGroupName")
    if group and group not in rds._param_groups and not group.startswith("default."):
        return _refused("DBParameterGroupNotFound", f"DBParameterGroup not found: {group}", 404)
    key = rds._p(parameters, "PerformanceInsightsKMSKeyId")
    try:
        if key:
            require_key(key)
    except ResourceError as error:
        return _refused("KMSKeyNotAccessibleFault", str(error))
    return None


def note_instance(instance: Record, parameters: Parameters) -> None:
    if key := rds._p(parameters, "PerformanceInsightsKMSKeyId"):
        instance["PerformanceInsightsKMSKeyId"] = require_key(key)
    if interval := rds._p(parameters, "MonitoringInterval"):
        instance["MonitoringInterval"] = int(interval)
    if role := rds._p(parameters, "MonitoringRoleArn"):
        instance["MonitoringRoleArn"] = role


def _cannot_monitor(role: str) -> bool:
    stream = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:RDSOSMetrics:log-stream:db"
    if service_roles.lacking(role, "monitoring.rds.amazonaws.com", []):
        return True
    name = role.rpartition("/")[2]
    attached = (iam._roles.get(name) or {}).get("AttachedPolicies", ())
    if any(str(policy).endswith("AmazonRDSEnhancedMonitoringRole") for policy in attached):
        return False
    return bool(
        service_roles.lacking(role, "monitoring.rds.amazonaws.com", [(grant, stream) for grant in _GRANTS])
    )


def _describing(inherited: Callable[[Record], str]) -> Callable[[Record], str]:
    def xml(record: Record) -> str:
        text = inherited(record)
        if _follows(record):  # the cluster of another region has the only writer
            text = text.replace("<IsClusterWriter>true<", "<IsClusterWriter>false<")
        text = re.sub("<EnabledCloudwatchLogsExports/>", "", text)
        exports = "".join(f"<member>{name}</member>" for name in log_exports(record))
        if exports:
            text += f"<EnabledCloudwatchLogsExports>{exports}</EnabledCloudwatchLogsExports>"
        if _MINOR in record and f"<{_MINOR}>" not in text:
            text += f"<{_MINOR}>{record[_MINOR]}</{_MINOR}>"
        if key := record.get("PerformanceInsightsKMSKeyId"):
            text += f"<PerformanceInsightsKMSKeyId>{key}</PerformanceInsightsKMSKeyId>"
        return text

    return xml


def _follows(record: Record) -> bool:
    global_cluster = rds._global_clusters.get(record.get("GlobalClusterIdentifier"))
    if global_cluster is None or "DBClusterArn" not in record:
        return False
    writer = rds._global_cluster_writer_cluster(global_cluster)
    return writer is not None and writer["DBClusterArn"] != record["DBClusterArn"]


def _members(parameters: Parameters, name: str) -> list[str]:
    found: list[str] = rds._parse_member_list(parameters, name)
    return found


def _refused(code: str, message: str, status: int = 400) -> Response:
    response: Response = rds._error(code, message, status)
    return response
