"""The regional stack that lives as long as the data: the ledger's cluster and who may reach it."""

from troposphere import Template

from templates.config import Settings
from templates.database import DatabasePlan, add_database
from templates.encryption import KEY_ARN
from templates.network import PRIVATE_SUBNET_IDS, VPC_ID
from templates.places import add_places


def render(settings: Settings) -> Template:
    names = settings.names
    template = Template(Description="Payments: database of one region")
    template.set_version()
    add_places(template, settings)
    add_database(
        template,
        settings,
        DatabasePlan(
            vpc_id=VPC_ID.read(names),
            subnet_ids=PRIVATE_SUBNET_IDS.read(names),
            key_arn=KEY_ARN.read(names),
        ),
    )
    return template
