"""How clients find the active region: certificate, host names, records that follow the primary's health."""

from msgspec import Struct
from troposphere import AWSHelperFn, If, NoValue, Tags, Template, apigateway, certificatemanager, route53
from troposphere.validators.route53 import AliasTarget

from templates.api import ENDPOINT_ACCESS_MODE, HEALTH, SECURITY_POLICY
from templates.names import Names
from templates.places import IS_PRIMARY, here, lookup
from templates.policies import Value

# 3 checks, 10 s apart: about 30 s until the record follows; Route 53 offers nothing faster.
CHECK_INTERVAL_SECONDS = 10
CHECK_FAILURES = 3


class RoutingPlan(Struct, frozen=True):
    names: Names
    hosted_zone_id: AWSHelperFn


def add_routing(template: Template, plan: RoutingPlan, stage: apigateway.Stage) -> route53.HealthCheck:
    """The health check exists in the primary region only."""
    names = plan.names
    host = here(names.host)
    certificate = template.add_resource(_certificate(plan, host))
    shared = _add_domain(template, "Shared", names.domain, certificate, stage)
    regional = _add_domain(template, "Regional", host, certificate, stage)
    health_check = template.add_resource(_health_check(names))
    template.add_resource(
        route53.RecordSetType(
            "FailoverRecord",
            HostedZoneId=plan.hosted_zone_id,
            Name=names.domain,
            Type="A",
            SetIdentifier=lookup("Place"),
            Failover=If(IS_PRIMARY, "PRIMARY", "SECONDARY"),
            # Only the primary has one: once it is red, DNS answers with the secondary, at once and whatever
            # its state.
            HealthCheckId=If(IS_PRIMARY, health_check.ref(), NoValue),
            AliasTarget=_alias(shared),
        )
    )
    template.add_resource(
        route53.RecordSetType(
            "RegionalRecord",
            HostedZoneId=plan.hosted_zone_id,
            Name=host,
            Type="A",
            AliasTarget=_alias(regional),
        )
    )
    return health_check


def _certificate(plan: RoutingPlan, host: Value) -> certificatemanager.Certificate:
    """Waits until the zone is delegated: ACM reads the records from the internet."""
    return certificatemanager.Certificate(
        "Certificate",
        DomainName=host,
        SubjectAlternativeNames=[plan.names.domain],
        ValidationMethod="DNS",
        DomainValidationOptions=[
            certificatemanager.DomainValidationOption(DomainName=name, HostedZoneId=plan.hosted_zone_id)
            for name in (host, plan.names.domain)
        ],
    )


def _add_domain(
    template: Template,
    title: str,
    name: Value,
    certificate: certificatemanager.Certificate,
    stage: apigateway.Stage,
) -> apigateway.DomainName:
    domain = template.add_resource(
        apigateway.DomainName(
            f"{title}Domain",
            DomainName=name,
            RegionalCertificateArn=certificate.ref(),
            EndpointConfiguration=apigateway.EndpointConfiguration(Types=["REGIONAL"]),
            SecurityPolicy=SECURITY_POLICY,
            EndpointAccessMode=ENDPOINT_ACCESS_MODE,
        )
    )
    template.add_resource(
        apigateway.BasePathMapping(
            f"{title}Mapping",
            DomainName=domain.ref(),
            RestApiId=stage.RestApiId,
            Stage=stage.ref(),
        )
    )
    return domain


def _health_check(names: Names) -> route53.HealthCheck:
    return route53.HealthCheck(
        "HealthCheck",
        Condition=IS_PRIMARY,
        HealthCheckConfig=route53.HealthCheckConfig(
            Type="HTTPS",
            FullyQualifiedDomainName=names.host("primary"),
            Port=443,
            ResourcePath=HEALTH.path,
            EnableSNI=True,
            RequestInterval=CHECK_INTERVAL_SECONDS,
            FailureThreshold=CHECK_FAILURES,
        ),
        HealthCheckTags=Tags(Name=names.regional("api", "primary")),
    )


def _alias(domain: apigateway.DomainName) -> AliasTarget:
    return AliasTarget(  # type: ignore[no-untyped-call]  # troposphere leaves this one untyped
        DNSName=domain.get_att("RegionalDomainName"),
        HostedZoneId=domain.get_att("RegionalHostedZoneId"),
        # It would ask API Gateway itself, which is up when what stands behind it is not.
        EvaluateTargetHealth=False,
    )
