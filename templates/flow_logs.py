"""Who talked to whom in the network of one region."""

from msgspec import Struct
from troposphere import AWSHelperFn, Tags, Template, ec2, iam, logs

from templates import deliveries, policies
from templates.functions import LOG_RETENTION_DAYS
from templates.lifetime import keep
from templates.policies import Value


class FlowLogPlan(Struct, frozen=True):
    name: Value
    role_name: Value
    boundary: Value
    key_arn: AWSHelperFn
    disposable: bool


def add_flow_logs(template: Template, plan: FlowLogPlan, vpc_id: AWSHelperFn) -> None:
    """To CloudWatch Logs rather than S3: readable within minutes, while an incident lasts, with our key, and
    without a bucket that another service must be let into. A gigabyte costs twice as much that way, but these
    are few: an address and a port for each connection, and functions keep theirs open.
    """
    group = logs.LogGroup(
        "FlowLogs",
        LogGroupName=policies.named("/aws/vpc/${Network}", Network=plan.name),
        KmsKeyId=plan.key_arn,
        RetentionInDays=LOG_RETENTION_DAYS,
    )
    template.add_resource(keep(group, disposable=plan.disposable))
    role = template.add_resource(
        iam.Role(
            "FlowLogRole",
            RoleName=plan.role_name,
            PermissionsBoundary=plan.boundary,
            Description="Lets the network write its flow logs",
            AssumeRolePolicyDocument=policies.document(
                policies.assumed_by_service(
                    "vpc-flow-logs.amazonaws.com", *deliveries.own_resources("ec2", "vpc-flow-log/*")
                )
            ),
            Policies=[
                iam.Policy(
                    PolicyName="delivery",
                    PolicyDocument=policies.document(deliveries.write_flow_logs(group.get_att("Arn"))),
                )
            ],
        )
    )
    template.add_resource(
        ec2.FlowLog(
            "FlowLog",
            ResourceType="VPC",
            ResourceId=vpc_id,
            TrafficType="ALL",
            LogDestinationType="cloud-watch-logs",
            LogGroupName=group.ref(),
            DeliverLogsPermissionArn=role.get_att("Arn"),
            MaxAggregationInterval=60,
            Tags=Tags(Name=plan.name),
        )
    )
