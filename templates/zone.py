"""The hosted zone: deployed once, before everything else, and delegated before a certificate waits for it.

Always to us-east-1: Route 53 logs queries to no other region. Where the system's home is another one, the
zone's id goes into the configuration, because exports stay in their region.
"""

import json

from awacs import logs as log_actions
from awacs.aws import Allow, ArnLike, Condition, PolicyDocument, Principal, Statement, StringEquals
from troposphere import Join, Output, Sub, Tags, Template, logs, route53

from templates import policies
from templates.config import Settings
from templates.encryption import KeyPlan, add_key
from templates.functions import LOG_RETENTION_DAYS
from templates.lifetime import keep
from templates.links import Link
from templates.target import add_environment

HOSTED_ZONE_ID = Link("Zone", "HostedZoneId", "Zone that holds the records of the domain.")


def render(settings: Settings) -> Template:
    template = Template(Description="Payments: hosted zone of the domain")
    template.set_version()
    environment = add_environment(template, settings)
    group, policy = _add_query_logs(template, settings)
    zone = route53.HostedZone(
        "HostedZone",
        Name=settings.dns.domain,
        HostedZoneConfig=route53.HostedZoneConfiguration(
            Comment=f"{settings.service} {settings.environment}"
        ),
        # Records can be changed an hour after us-east-1 was lost. No recovery waits for that: health checks
        # move clients without any change.
        HostedZoneFeatures=route53.HostedZoneFeatures(EnableAcceleratedRecovery=True),
        QueryLoggingConfig=route53.QueryLoggingConfigProperty(CloudWatchLogsLogGroupArn=_arn(group)),
        HostedZoneTags=Tags(Service=settings.service, Environment=environment.ref()),
        # Route 53 tries whether it may write before it takes the group.
        DependsOn=[policy],
    )
    # Made again, a zone has other name servers, and the delegation at the parent points nowhere.
    template.add_resource(keep(zone, disposable=settings.test_environment))
    template.add_output(HOSTED_ZONE_ID.publish(settings.names, zone.ref()))
    template.add_output(
        Output(
            "NameServers",
            Description="What the parent zone has to delegate the domain to, separated by commas.",
            Value=Join(",", zone.get_att("NameServers")),
        )
    )
    return template


def _add_query_logs(template: Template, settings: Settings) -> tuple[logs.LogGroup, logs.ResourcePolicy]:
    """Who asks for which name. CloudWatch Logs encrypts what Route 53 hands it: only that needs the key."""
    names, disposable = settings.names, settings.test_environment
    name = f"/aws/route53/{settings.dns.domain}"
    key = add_key(
        template,
        KeyPlan(
            title="QueryLogKey",
            description="Encrypts the log of DNS queries",
            alias=names.alias("queries", "primary"),
            services=(),
            regions=(),
            log_groups=(name,),
            disposable=disposable,
        ),
    )
    group = logs.LogGroup(
        "QueryLogs",
        LogGroupName=name,
        KmsKeyId=key.get_att("Arn"),
        RetentionInDays=LOG_RETENTION_DAYS,
    )
    template.add_resource(keep(group, disposable=disposable))
    # CloudWatch Logs wants this policy as text.
    statement = Statement(
        Sid="WriteQueries",
        Effect=Allow,
        Principal=Principal("Service", "route53.amazonaws.com"),
        Action=[log_actions.CreateLogStream, log_actions.PutLogEvents],
        Resource=["${Group}:*"],
        Condition=Condition(
            [
                StringEquals({"aws:SourceAccount": "${AWS::AccountId}"}),
                ArnLike({"aws:SourceArn": "arn:${AWS::Partition}:route53:::hostedzone/*"}),
            ]
        ),
    )
    policy = template.add_resource(
        logs.ResourcePolicy(
            "QueryLogPolicy",
            PolicyName=names.shared("queries"),
            PolicyDocument=Sub(_text(policies.document(statement)), Group=_arn(group)),
        )
    )
    return group, policy


def _text(document: PolicyDocument) -> str:
    return json.dumps(json.loads(document.to_json()), separators=(",", ":"))


def _arn(group: logs.LogGroup) -> Sub:
    """Without the ``:*`` that a log group's own attribute ends in."""
    return policies.arn("logs", "log-group:${Name}", Name=group.ref())
