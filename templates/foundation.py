"""The regional stack everything else stands on: the network, the key, the buckets others deliver to."""

from functools import partial

from troposphere import Template, kms

from templates import network, policies
from templates.account import add_api_account
from templates.config import Settings
from templates.encryption import KEY_ARN, KeyPlan, add_key
from templates.flow_logs import FlowLogPlan, add_flow_logs
from templates.network import NetworkPlan, add_network
from templates.places import add_places, here
from templates.storage import (
    ACCESS_LOG_BUCKET_NAME,
    CODE_BUCKET_NAME,
    add_access_log_bucket,
    add_code_bucket,
)
from templates.transactions import LogPlan, add_received_bucket

# What the root stack reads of both regions' instances of this template.
OUTPUTS_FOR_ROOT = (network.VPC_ID, CODE_BUCKET_NAME)


def render(settings: Settings) -> Template:
    names, disposable = settings.names, settings.test_environment
    template = Template(Description="Payments: network, encryption key and receiving buckets of one region")
    template.set_version()
    add_places(template, settings)
    vpc = add_network(
        template,
        names,
        NetworkPlan(
            primary=settings.network.primary_cidr,
            secondary=settings.network.secondary_cidr,
            regions=(settings.regions.primary, settings.regions.secondary),
            tables=names.shared("*"),
            nat_in_each_zone=settings.network.nat_gateways == "per-zone",
        ),
    )
    key = _add_data_key(template, settings)
    flow_logs = FlowLogPlan(
        name=here(partial(names.regional, "network")),
        role_name=here(partial(names.regional, "flow-logs")),
        boundary=policies.boundary_arn(names),
        key_arn=key.get_att("Arn"),
        disposable=disposable,
    )
    add_flow_logs(template, flow_logs, vpc.ref())
    _add_buckets(template, settings, key)
    boundary = policies.boundary_arn(names)
    add_api_account(template, here(partial(names.regional, "api-logs")), boundary, disposable=disposable)
    return template


def _add_data_key(template: Template, settings: Settings) -> kms.Key:
    names = settings.names
    key = add_key(
        template,
        KeyPlan(
            title="DataKey",
            description="Encrypts the payments, the functions and the logs of this region",
            alias=here(partial(names.alias, "data")),
            services=("backup", "dynamodb", "lambda", "rds", "s3", "secretsmanager", "sns", "sqs"),
            regions=(settings.regions.primary, settings.regions.secondary),
            log_groups=(
                names.log_group(f"{names.service}-*"),
                f"/aws/rds/cluster/{names.service}-*/postgresql",
                f"/aws/vpc/{names.service}-*",
                f"/aws/fis/{names.service}-*",
                f"/aws/apigateway/{names.service}-*",
                "API-Gateway-Execution-Logs_*",  # API Gateway goes on with the API's id
                f"aws-waf-logs-{names.service}-*",  # AWS WAF writes to no other
            ),
            alarms=True,
            statements=(policies.encrypt_schedules(f"{names.service}-*/{names.service}-*"),),
            disposable=settings.test_environment,
        ),
    )
    template.add_output(KEY_ARN.publish(names, key.get_att("Arn")))
    return key


def _add_buckets(template: Template, settings: Settings, key: kms.Key) -> None:
    names, disposable = settings.names, settings.test_environment
    access_logs = add_access_log_bucket(
        template,
        here(partial(names.bucket, "access-logs")),
        here(lambda place: f"{names.regional('*', place)}-*"),
        disposable=disposable,
    )
    template.add_output(ACCESS_LOG_BUCKET_NAME.publish(names, access_logs.ref()))
    code = add_code_bucket(
        template,
        here(partial(names.bucket, "code")),
        key.get_att("Arn"),
        access_logs.ref(),
        disposable=disposable,
    )
    template.add_output(CODE_BUCKET_NAME.publish(names, code.ref()))
    received = LogPlan(key_arn=key.get_att("Arn"), access_logs=access_logs.ref())
    add_received_bucket(template, settings, received)
