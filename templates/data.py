"""The regional stack that lives as long as the data: the ledger's cluster, its backups, its log."""

from troposphere import Template

from templates.backups import add_backups
from templates.config import Settings
from templates.database import DatabasePlan, add_database
from templates.encryption import KEY_ARN
from templates.network import PRIVATE_SUBNET_IDS, VPC_ID
from templates.places import add_places
from templates.storage import ACCESS_LOG_BUCKET_NAME
from templates.transactions import LogPlan, add_transactions_bucket


def render(settings: Settings) -> Template:
    names = settings.names
    template = Template(Description="Payments: database, backups and transaction log of one region")
    template.set_version()
    add_places(template, settings)
    key_arn = KEY_ARN.read(names)
    cluster = add_database(
        template,
        settings,
        DatabasePlan(vpc_id=VPC_ID.read(names), subnet_ids=PRIVATE_SUBNET_IDS.read(names), key_arn=key_arn),
    )
    add_backups(template, settings, cluster.ref(), key_arn)
    log = LogPlan(key_arn=key_arn, access_logs=ACCESS_LOG_BUCKET_NAME.read(names))
    add_transactions_bucket(template, settings, log)
    return template
