"""`AWS::EC2::FlowLog`, and its records: of the connections that functions open in the lab.

Records: https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html. Into a log group a stream for
each interface, with a role that `vpc-flow-logs.amazonaws.com` may assume:
https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html. Into a bucket a compressed file for
each interval: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html. One record stands for
one connection and counts its first packet: what follows it the lab does not see.
"""

import gzip
import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import cloudwatch_logs, ec2, rds, s3

from lab.embedded import deliveries, service_roles
from lab.embedded.handlers import Created, Handlers, Properties, ResourceError, checked, tag_list
from lab.embedded.rds_parameters import DATABASE
from lab.embedded.tails import Tail
from lab.flows import Flow, flows_file, read_flow
from lab.plan import PLAN_VARIABLE, read_plan

TYPE = "AWS::EC2::FlowLog"
_SERVICE = "vpc-flow-logs.amazonaws.com"
# AWS's page names two more, of groups; CDK grants these three, and they are enough for a group that exists.
_GRANTS = ("CreateLogStream", "DescribeLogStreams", "PutLogEvents")
_DEFAULT_FORMAT = (
    "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} "
    "${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
)
_STORES = {"VPC": (ec2._vpcs, "vpc"), "Subnet": (ec2._subnets, "subnet")}
_FIRST_PACKET = 60  # bytes of a SYN
_TCP = 6


@dataclass(frozen=True, slots=True)
class _Interface:
    vpc: str
    subnet: str
    identifier: str
    address: str


def register(handlers: Handlers) -> None:
    handlers[TYPE] = {"create": create, "update": update, "delete": delete}
    ec2._ACTION_MAP["DescribeFlowLogs"] = _with_everything(ec2._ACTION_MAP["DescribeFlowLogs"])
    tail = Tail(flows_file(read_plan(Path(os.environ[PLAN_VARIABLE]))))
    deliveries.add(lambda: deliver([read_flow(line) for line in tail.new_lines()]))


def create(logical_id: str, properties: Properties, stack_name: str) -> Created:
    resource, kind = str(properties["ResourceId"]), str(properties["ResourceType"])
    if kind not in _STORES:
        raise ResourceError(f"The lab has flow logs of VPCs and subnets, not of a {kind}")
    store, name = _STORES[kind]
    if resource not in store:
        raise ResourceError(f"The {name} ID '{resource}' does not exist (Invalid{kind}ID.NotFound)")
    destination = properties.get("LogDestinationType", "cloud-watch-logs")
    if destination == "cloud-watch-logs":
        _check_role(properties)
    elif destination == "s3":
        bucket = str(properties.get("LogDestination", "")).rpartition(":::")[2].partition("/")[0]
        if s3._bucket_owner_account(bucket) is None:
            raise ResourceError(f"LogDestination: {bucket} does not exist (InvalidParameter)")
    else:
        raise ResourceError(f"The lab delivers flow logs to log groups and buckets, not to {destination}")
    known = set(ec2._flow_logs)
    names = ("ResourceType", "TrafficType", "LogDestinationType", "LogDestination", "LogGroupName")
    request = {key: [str(properties[key])] for key in names if key in properties}
    checked(ec2._create_flow_logs({**request, "ResourceId.1": [resource]}))
    (identifier,) = set(ec2._flow_logs) - known
    ec2._flow_logs[identifier]["_properties"] = dict(properties)
    ec2._tags[identifier] = tag_list(properties.get("Tags"))
    return identifier, {"Id": identifier}


def update(physical_id: str, old: Properties, new: Properties, stack_name: str) -> Created:
    """Nothing but tags changes in place."""
    if {**old, "Tags": None} != {**new, "Tags": None}:
        created = create("", new, stack_name)
        delete(physical_id, old)
        return created
    ec2._tags[physical_id] = tag_list(new.get("Tags"))
    return physical_id, {"Id": physical_id}


def delete(physical_id: str, properties: Properties) -> None:
    checked(ec2._delete_flow_logs({"FlowLogId.1": [physical_id]}))


def _check_role(properties: Properties) -> None:
    if not properties.get("DeliverLogsPermissionArn"):
        raise ResourceError("DeliverLogsPermissionArn can't be empty (MissingParameter)")
    if not (properties.get("LogGroupName") or properties.get("LogDestination")):
        raise ResourceError("LogGroupName can't be empty (MissingParameter)")
    missing = service_roles.lacking(str(properties["DeliverLogsPermissionArn"]), _SERVICE, [])
    if missing:
        raise ResourceError(
            f"Unable to assume given IAM role: {properties['DeliverLogsPermissionArn']} (InvalidParameter)"
        )


# --- records ----------------------------------------------------------------------------------------------


def deliver(flows: list[Flow]) -> None:
    """One record at each interface that saw a connection, to every flow log that covers the interface."""
    into_buckets: dict[tuple[str, str], list[str]] = defaultdict(list)
    for flow in flows:
        for region, interface, fields in _seen(flow):
            with request_scope(get_account_id(), region):
                for identifier, log in list(ec2._flow_logs.items()):
                    if _covers(log, interface, fields["action"]):
                        record = _record(log, interface, fields)
                        if log["LogDestinationType"] == "s3":
                            into_buckets[region, identifier].append(record)
                        else:
                            _into_log_group(log, interface, record)
    for (region, identifier), records in into_buckets.items():
        with request_scope(get_account_id(), region):
            _into_bucket(ec2._flow_logs[identifier], records)


def _seen(flow: Flow) -> Iterator[tuple[str, _Interface, dict[str, object]]]:
    """Where a connection passed: the function's interface, then the database's."""
    with request_scope(get_account_id(), flow.region):
        if not (set(flow.subnets) & set(ec2._subnets)):
            return
        own = _interface(sorted(flow.subnets)[0], *sorted(flow.security_groups))
    target = _database(flow) if flow.target_port == 5432 else None
    common: dict[str, object] = {
        "srcaddr": own.address,
        "dstaddr": target.address if target else flow.target_address,
        "srcport": flow.source_port,
        "dstport": flow.target_port,
        "start": int(flow.at),
        "end": int(flow.at),
    }
    yield flow.region, own, {**common, "action": _action(flow.left), "flow-direction": "egress"}
    if target is not None and flow.entered is not None:
        accepted = _action(flow.entered)
        yield flow.target_region, target, {**common, "action": accepted, "flow-direction": "ingress"}


def _action(passed: bool) -> str:
    return "ACCEPT" if passed else "REJECT"


def _database(flow: Flow) -> _Interface | None:
    with request_scope(get_account_id(), flow.target_region):
        for cluster in rds._clusters.values():
            if DATABASE in cluster:
                continue
            group = rds._subnet_groups.get(cluster.get("DBSubnetGroup"))
            subnets = [item["SubnetIdentifier"] for item in (group or {}).get("Subnets", ())]
            if subnets:
                return _interface(sorted(subnets)[0], cluster["DBClusterArn"])
    return None


def _interface(subnet: str, *owner: str) -> _Interface:
    """What EC2 would have made for a function's or a database's network; the same one every time."""
    digest = hashlib.sha256("/".join((subnet, *owner)).encode()).hexdigest()
    record = ec2._subnets[subnet]
    block = IPv4Network(record["CidrBlock"])
    free = block.num_addresses - 5  # AWS keeps the first four addresses and the last
    return _Interface(
        vpc=record["VpcId"],
        subnet=subnet,
        identifier=f"eni-{digest[:17]}",
        address=str(block[4 + int(digest, 16) % free]),
    )


def _covers(log: dict[str, Any], interface: _Interface, action: object) -> bool:
    return log["ResourceId"] in (interface.vpc, interface.subnet) and log["TrafficType"] in ("ALL", action)


def _record(log: dict[str, Any], interface: _Interface, fields: dict[str, object]) -> str:
    known = {
        **fields,
        "version": 2,
        "account-id": get_account_id(),
        "vpc-id": interface.vpc,
        "subnet-id": interface.subnet,
        "interface-id": interface.identifier,
        "protocol": _TCP,
        "packets": 1,
        "bytes": _FIRST_PACKET,
        "log-status": "OK",
        "region": get_region(),
        "type": "IPv4",
        "tcp-flags": 2,
        "pkt-srcaddr": fields["srcaddr"],
        "pkt-dstaddr": fields["dstaddr"],
    }
    wanted = (log.get("_properties") or {}).get("LogFormat") or _DEFAULT_FORMAT
    names = [name.strip("${}") for name in wanted.split()]
    return " ".join(str(known.get(name, "-")) for name in names)


def _into_log_group(log: dict[str, Any], interface: _Interface, record: str) -> None:
    properties = log.get("_properties") or {}
    destination = str(log["LogDestination"])
    group = destination.split(":log-group:")[-1].removesuffix(":*")
    arn = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}"
    wanted = [(f"logs:{grant}", f"{arn}:log-stream:{interface.identifier}") for grant in _GRANTS]
    role = properties.get("DeliverLogsPermissionArn")
    obstacle = service_roles.lacking(str(role), _SERVICE, wanted) if role else None
    if obstacle is None and group not in cloudwatch_logs._log_groups:
        obstacle = service_roles.lacking(str(role), _SERVICE, [("logs:CreateLogGroup", arn)])
        if obstacle is None:
            checked(cloudwatch_logs._create_log_group({"logGroupName": group}))
    log["_failure"] = obstacle
    if obstacle is None:
        stream = f"{interface.identifier}-{log['TrafficType'].lower()}"
        deliveries.put_log_events(get_region(), group, stream, [record])


def _into_bucket(log: dict[str, Any], records: list[str]) -> None:
    bucket, _, prefix = str(log["LogDestination"]).rpartition(":::")[2].partition("/")
    account, region, now = get_account_id(), get_region(), time.gmtime()
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    day, minute = time.strftime("%Y/%m/%d", now), time.strftime("%Y%m%dT%H%MZ", now)
    header = (log.get("_properties") or {}).get("LogFormat") or _DEFAULT_FORMAT
    body = "\n".join((header.replace("${", "").replace("}", ""), *records)) + "\n"
    digest = hashlib.sha256(f"{body}{time.time_ns()}".encode()).hexdigest()[:8]
    name = f"{account}_vpcflowlogs_{region}_{log['FlowLogId']}_{minute}_{digest}.log.gz"
    key = f"{prefix}AWSLogs/{account}/vpcflowlogs/{region}/{day}/{name}"
    s3._put_object(bucket, key, gzip.compress(body.encode()), {})


def _with_everything(inherited: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """DescribeFlowLogs with what MiniStack leaves out."""

    def describe(parameters: Any) -> Any:
        status, headers, body = inherited(parameters)
        text = body.decode() if isinstance(body, bytes) else str(body)
        for identifier, log in ec2._flow_logs.items():
            properties = log.get("_properties") or {}
            failure = log.get("_failure")
            more = {
                "deliverLogsPermissionArn": properties.get("DeliverLogsPermissionArn"),
                "deliverLogsStatus": "FAILED" if failure else "SUCCESS",
                "deliverLogsErrorMessage": "Access error" if failure else None,
                "logFormat": properties.get("LogFormat", _DEFAULT_FORMAT),
                "maxAggregationInterval": properties.get("MaxAggregationInterval", 600),
                "logGroupName": None if log["LogDestinationType"] == "s3" else log["LogDestination"],
            }
            added = "".join(f"<{key}>{value}</{key}>" for key, value in more.items() if value is not None)
            mark = f"<flowLogId>{identifier}</flowLogId>"
            text = text.replace(mark, mark + added)
        return status, headers, text.encode()

    return describe
