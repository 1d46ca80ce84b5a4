"""The regional stack everything else stands on: the network, the key, the bucket that code is loaded from."""

from functools import partial

from troposphere import Template

from templates import network
from templates.config import Settings
from templates.encryption import KEY_ARN, KeyPlan, add_key
from templates.network import NetworkPlan, add_network
from templates.places import add_places, here
from templates.storage import CODE_BUCKET_NAME, add_code_bucket

# What the root stack reads of both regions' instances of this template.
OUTPUTS_FOR_ROOT = (network.VPC_ID, CODE_BUCKET_NAME)


def render(settings: Settings) -> Template:
    names = settings.names
    template = Template(Description="Payments: network, encryption key and code bucket of one region")
    template.set_version()
    add_places(template, settings)
    add_network(
        template,
        names,
        NetworkPlan(
            primary=settings.network.primary_cidr,
            secondary=settings.network.secondary_cidr,
            regions=(settings.regions.primary, settings.regions.secondary),
            tables=names.shared("*"),
        ),
    )
    key = add_key(
        template,
        KeyPlan(
            title="DataKey",
            description="Encrypts the payments, the functions and the logs of this region",
            alias=here(partial(names.alias, "data")),
            services=("dynamodb", "lambda", "rds", "s3", "secretsmanager"),
            regions=(settings.regions.primary, settings.regions.secondary),
            log_groups=(
                names.log_group(f"{names.service}-*"),
                f"/aws/rds/cluster/{names.service}-*/postgresql",
            ),
            disposable=settings.test_environment,
        ),
    )
    template.add_output(KEY_ARN.publish(names, key.get_att("Arn")))
    bucket = add_code_bucket(
        template,
        here(partial(names.bucket, "code")),
        key.get_att("Arn"),
        disposable=settings.test_environment,
    )
    template.add_output(CODE_BUCKET_NAME.publish(names, bucket.ref()))
    return template
