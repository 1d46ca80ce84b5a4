"""What stands before the functions, in the words of API Gateway, WAF, Certificate Manager and Route 53."""

import json
from typing import Any

from tests.integration.system.comparison import Seen, only
from tests.integration.system.stacks import Resource

Found = dict[str, Any]
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch")


def _account(account: Resource) -> Found:
    return _capitalised(account.aws("apigateway").get_account()) | {
        "CloudWatchRoleArn": account.aws("apigateway").get_account().get("cloudwatchRoleArn")
    }


def _rest_api(api: Resource) -> Found:
    gateway, api_id = api.aws("apigateway"), api.physical_id
    found: Found = _capitalised(gateway.get_rest_api(restApiId=api_id))
    validators = {one["id"]: one for one in gateway.get_request_validators(restApiId=api_id)["items"]}
    pages = gateway.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"])
    operations = {}
    for resource in (one for page in pages for one in page["items"]):
        for verb in resource.get("resourceMethods", {}):
            method = gateway.get_method(restApiId=api_id, resourceId=resource["id"], httpMethod=verb)
            integration = method.get("methodIntegration", {})
            validator = validators.get(method.get("requestValidatorId"), {})
            operations[f"{verb} {resource['path']}"] = {
                "leads to": integration.get("uri"),
                "body is validated": validator.get("validateRequestBody", False),
                "parameters are validated": validator.get("validateRequestParameters", False),
            }
    return found | {"Body": Seen(operations, _operations)}


def _operations(document: Any) -> Found:
    """What the OpenAPI document says of each operation, as far as the gateway describes it."""
    validators = document.get("x-amazon-apigateway-request-validators", {})
    operations = {}
    for path, item in document["paths"].items():
        for verb in item.keys() & set(_METHODS):
            name = item[verb].get(
                "x-amazon-apigateway-request-validator",
                document.get("x-amazon-apigateway-request-validator"),
            )
            validator = validators.get(name, {})
            operations[f"{verb.upper()} {path}"] = {
                "leads to": item[verb]["x-amazon-apigateway-integration"]["uri"],
                "body is validated": validator.get("validateRequestBody", False),
                "parameters are validated": validator.get("validateRequestParameters", False),
            }
    return operations


def _deployment(deployment: Resource) -> Found:
    api_id = deployment.properties["RestApiId"]
    deployment.aws("apigateway").get_deployment(restApiId=api_id, deploymentId=deployment.physical_id)
    return {"RestApiId": api_id}


def _stage(stage: Resource) -> Found:
    api_id = stage.properties["RestApiId"]
    found: Found = stage.aws("apigateway").get_stage(restApiId=api_id, stageName=stage.physical_id)
    settings = []
    for where, method in found["methodSettings"].items():
        path, _, verb = where.rpartition("/")
        settings.append(_capitalised(method) | {"ResourcePath": f"/{path}", "HttpMethod": verb})
    return _capitalised(found) | {
        "RestApiId": api_id,
        "MethodSettings": settings,
        "AccessLogSetting": _capitalised(found.get("accessLogSettings", {})),
    }


def _domain_name(domain: Resource) -> Found:
    return _capitalised(domain.aws("apigateway").get_domain_name(domainName=domain.physical_id))


def _mapping(mapping: Resource) -> Found:
    domain = mapping.properties["DomainName"]
    found: Found = mapping.aws("apigateway").get_base_path_mapping(domainName=domain, basePath="(none)")
    return _capitalised(found) | {"DomainName": domain}


def _capitalised(answer: Found) -> Found:
    """API Gateway writes `restApiId` where templates write `RestApiId`."""

    def inner(value: Any) -> Any:
        if isinstance(value, list):
            return [inner(one) for one in value]
        return _capitalised(value) if isinstance(value, dict) else value

    return {name[:1].upper() + name[1:]: inner(value) for name, value in answer.items()}


def _firewall(acl: Resource) -> Found:
    name, identity, scope = acl.physical_id.split("|")
    found: Found = acl.aws("wafv2").get_web_acl(Name=name, Id=identity, Scope=scope)["WebACL"]
    text: Found = _as_text(found)
    return text | {"Scope": scope}


def _as_text(answer: Any) -> Any:
    """Search strings are bytes in the API."""
    if isinstance(answer, dict):
        return {name: _as_text(value) for name, value in answer.items()}
    if isinstance(answer, list):
        return [_as_text(one) for one in answer]
    return answer.decode() if isinstance(answer, bytes) else answer


def _firewall_association(association: Resource) -> Found:
    stage = association.properties["ResourceArn"]
    acl = association.aws("wafv2").get_web_acl_for_resource(ResourceArn=stage)["WebACL"]
    return {"ResourceArn": stage, "WebACLArn": acl["ARN"]}


def _firewall_logging(logging: Resource) -> Found:
    acl = logging.properties["ResourceArn"]
    found: Found = logging.aws("wafv2").get_logging_configuration(ResourceArn=acl)["LoggingConfiguration"]
    return found


def _certificate(certificate: Resource) -> Found:
    """Each name it was validated by has the record it asked for."""
    acm = certificate.aws("acm")
    found: Found = acm.describe_certificate(CertificateArn=certificate.physical_id)["Certificate"]
    if found["Status"] != "ISSUED":
        raise LookupError(f"it is {found['Status']}")
    options = found["DomainValidationOptions"]
    names = [name for name in found["SubjectAlternativeNames"] if name != found["DomainName"]]
    return found | {
        "SubjectAlternativeNames": names,
        "ValidationMethod": only(sorted({one["ValidationMethod"] for one in options})),
    }


def _health_check(check: Resource) -> Found:
    route53 = check.aws("route53")
    found: Found = route53.get_health_check(HealthCheckId=check.physical_id)["HealthCheck"]
    tags = route53.list_tags_for_resource(ResourceType="healthcheck", ResourceId=check.physical_id)
    return found | {"HealthCheckTags": tags["ResourceTagSet"]["Tags"]}


def _hosted_zone(zone: Resource) -> Found:
    route53, zone_id = zone.aws("route53"), zone.physical_id
    found: Found = route53.get_hosted_zone(Id=zone_id)["HostedZone"]
    tags = route53.list_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id)
    logging = only(route53.list_query_logging_configs(HostedZoneId=zone_id)["QueryLoggingConfigs"])
    recovery = found.get("Features", {}).get("AcceleratedRecoveryStatus")
    return {
        "Name": found["Name"].removesuffix("."),
        "HostedZoneConfig": found["Config"],
        "HostedZoneFeatures": {"EnableAcceleratedRecovery": recovery == "ENABLED"},
        "HostedZoneTags": tags["ResourceTagSet"]["Tags"],
        "QueryLoggingConfig": logging,
    }


def _record(record: Resource) -> Found:
    zone_id, name = record.properties["HostedZoneId"], f"{record.properties['Name']}."
    pages = record.aws("route53").get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone_id)
    found: Found = only(
        [
            one
            for page in pages
            for one in page["ResourceRecordSets"]
            if one["Name"] == name
            and one["Type"] == record.properties["Type"]
            and one.get("SetIdentifier") == record.properties.get("SetIdentifier")
        ]
    )
    target = found["AliasTarget"] | {"DNSName": found["AliasTarget"]["DNSName"].removesuffix(".")}
    return found | {"Name": name.removesuffix("."), "AliasTarget": target, "HostedZoneId": zone_id}


def _query_log_policy(policy: Resource) -> Found:
    policies = policy.aws("logs").describe_resource_policies()["resourcePolicies"]
    found: Found = only([one for one in policies if one["policyName"] == policy.physical_id])
    return {
        "PolicyName": found["policyName"],
        "PolicyDocument": Seen(json.loads(found["policyDocument"]), json.loads),
    }


PROOFS = {
    "AWS::ApiGateway::Account": _account,
    "AWS::ApiGateway::BasePathMapping": _mapping,
    "AWS::ApiGateway::Deployment": _deployment,
    "AWS::ApiGateway::DomainName": _domain_name,
    "AWS::ApiGateway::RestApi": _rest_api,
    "AWS::ApiGateway::Stage": _stage,
    "AWS::CertificateManager::Certificate": _certificate,
    "AWS::Logs::ResourcePolicy": _query_log_policy,
    "AWS::Route53::HealthCheck": _health_check,
    "AWS::Route53::HostedZone": _hosted_zone,
    "AWS::Route53::RecordSet": _record,
    "AWS::WAFv2::LoggingConfiguration": _firewall_logging,
    "AWS::WAFv2::WebACL": _firewall,
    "AWS::WAFv2::WebACLAssociation": _firewall_association,
}
