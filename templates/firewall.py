"""The web application firewall in front of one region's API, and the log of what it decided."""

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import Struct
from troposphere import AWSHelperFn, Sub, Template, apigateway, logs, wafv2

from templates import policies
from templates.functions import LOG_RETENTION_DAYS
from templates.lifetime import keep
from templates.policies import Value

# What the API itself takes; a firewall that let more through would only pass the refusal on.
MOST_BODY_BYTES = 4096
# From one address in a minute. A merchant's servers may share an address: a fifth of what the stage takes.
MOST_REQUESTS_PER_MINUTE = 6000
RETRY_AFTER_SECONDS = 60
# In AWS's order of precedence; what each holds:
# https://docs.aws.amazon.com/waf/latest/developerguide/aws-managed-rule-groups-list.html
_MANAGED = (
    "AWSManagedRulesAmazonIpReputationList",
    "AWSManagedRulesKnownBadInputsRuleSet",
    "AWSManagedRulesCommonRuleSet",
)
Property = TypeVar("Property", wafv2.FieldToMatch, wafv2.OverrideAction)
_AS_IS = [wafv2.TextTransformation(Priority=0, Type="NONE")]


class FirewallPlan(Struct, frozen=True):
    """The texts are the public document's problems: a client sees the same answers wherever it is refused."""

    name: Value
    key_arn: Value
    too_many_requests: str
    body_too_large: str
    disposable: bool


def add_firewall(template: Template, plan: FirewallPlan, stage: apigateway.Stage) -> None:
    acl = template.add_resource(
        wafv2.WebACL(
            "Firewall",
            Name=plan.name,
            Description="What never gets as far as the payment API",
            Scope="REGIONAL",
            DefaultAction=wafv2.DefaultAction(Allow=wafv2.AllowAction()),
            CustomResponseBodies={
                "too-many-requests": _json(plan.too_many_requests),
                "body-too-large": _json(plan.body_too_large),
            },
            Rules=_rules(),
            VisibilityConfig=_visible("firewall"),
        )
    )
    template.add_resource(
        wafv2.WebACLAssociation(
            "FirewallAssociation",
            ResourceArn=Sub(
                "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${Stage}",
                Api=stage.RestApiId,
                Stage=stage.ref(),
            ),
            WebACLArn=acl.get_att("Arn"),
        )
    )
    _add_log(template, plan, acl.get_att("Arn"))


def _add_log(template: Template, plan: FirewallPlan, acl_arn: AWSHelperFn) -> None:
    group = logs.LogGroup(
        "FirewallLogs",
        LogGroupName=policies.named("aws-waf-logs-${Firewall}", Firewall=plan.name),
        KmsKeyId=plan.key_arn,
        RetentionInDays=LOG_RETENTION_DAYS,
    )
    template.add_resource(keep(group, disposable=plan.disposable))
    template.add_resource(
        wafv2.LoggingConfiguration(
            "FirewallLogging",
            ResourceArn=acl_arn,
            # Not the group's own ARN, which ends in ":*".
            LogDestinationConfigs=[policies.arn("logs", "log-group:${Group}", Group=group.ref())],
            RedactedFields=[
                wafv2.LoggingConfigurationFieldToMatch(SingleHeader=wafv2.SingleHeader(Name=header))
                for header in ("authorization", "idempotency-key")
            ],
        )
    )


def _rules() -> list[wafv2.WebACLRule]:
    """The first that decides ends it."""
    own = [
        ("requests-per-address", _too_many_requests(), _refuse(429, "too-many-requests", _retry_after())),
        # AWS changes its rule groups when it likes: none of that may look like a region that died.
        ("health-checks", _health_checks(), {"Action": wafv2.RuleAction(Allow=wafv2.AllowAction())}),
        ("body-size", _body_too_large(), _refuse(413, "body-too-large")),
    ]
    managed = [
        (
            group,
            wafv2.Statement(
                ManagedRuleGroupStatement=wafv2.ManagedRuleGroupStatement(VendorName="AWS", Name=group)
            ),
            # Its own actions, as they are.
            {"OverrideAction": _nothing(wafv2.OverrideAction, "None")},
        )
        for group in _MANAGED
    ]
    return [
        wafv2.WebACLRule(
            Name=name, Priority=priority, Statement=statement, VisibilityConfig=_visible(name), **decision
        )
        for priority, (name, statement, decision) in enumerate([*own, *managed])
    ]


def _too_many_requests() -> wafv2.Statement:
    return wafv2.Statement(
        RateBasedStatement=wafv2.RateBasedStatement(
            AggregateKeyType="IP", Limit=MOST_REQUESTS_PER_MINUTE, EvaluationWindowSec=60
        )
    )


def _health_checks() -> wafv2.Statement:
    """By its end: the firewall may see the path with the stage in front."""
    return wafv2.Statement(
        AndStatement=wafv2.AndStatement(
            Statements=[
                _matches("Method", "GET", "EXACTLY"),
                _matches("UriPath", "/health", "ENDS_WITH"),
            ]
        )
    )


def _matches(field: str, text: str, where: str) -> wafv2.Statement:
    return wafv2.Statement(
        ByteMatchStatement=wafv2.ByteMatchStatement(
            FieldToMatch=_nothing(wafv2.FieldToMatch, field),
            PositionalConstraint=where,
            SearchString=text,
            TextTransformations=_AS_IS,
        )
    )


def _body_too_large() -> wafv2.Statement:
    return wafv2.Statement(
        SizeConstraintStatement=wafv2.SizeConstraintStatement(
            # Beyond what the firewall looks at (16 kB) it is too large as well.
            FieldToMatch=wafv2.FieldToMatch(Body=wafv2.Body(OversizeHandling="MATCH")),
            ComparisonOperator="GT",
            Size=MOST_BODY_BYTES,
            TextTransformations=_AS_IS,
        )
    )


def _refuse(status: int, body: str, headers: Sequence[wafv2.CustomHTTPHeader] = ()) -> dict[str, Any]:
    response = wafv2.CustomResponse(ResponseCode=status, CustomResponseBodyKey=body)
    if headers:
        response.ResponseHeaders = list(headers)
    return {"Action": wafv2.RuleAction(Block=wafv2.BlockAction(CustomResponse=response))}


def _nothing(kind: type[Property], choice: str) -> Property:
    """How AWS WAF's properties choose between kinds: by an empty object under its name."""
    chosen = kind()
    setattr(chosen, choice, {})
    return chosen


def _retry_after() -> list[wafv2.CustomHTTPHeader]:
    return [wafv2.CustomHTTPHeader(Name="Retry-After", Value=str(RETRY_AFTER_SECONDS))]


def _json(text: str) -> wafv2.CustomResponseBody:
    return wafv2.CustomResponseBody(ContentType="APPLICATION_JSON", Content=text)


def _visible(name: str) -> wafv2.VisibilityConfig:
    # Samples hold whole requests, with tokens and amounts; the log says what was decided without them.
    return wafv2.VisibilityConfig(
        CloudWatchMetricsEnabled=True, MetricName=name, SampledRequestsEnabled=False
    )
