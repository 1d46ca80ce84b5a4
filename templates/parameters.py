"""How the database is set up: for the whole cluster, and for each instance.

No pgAudit: besides the functions only a break-glass user logs in, connections and changes to the schema are
in the log as it is, and the extension would have to be made by that user in a release's migration.
"""

from functools import partial

from troposphere import rds

from templates.config import Settings
from templates.places import here

ENGINE = "aurora-postgresql"


def cluster_parameters(settings: Settings) -> rds.DBClusterParameterGroup:
    return rds.DBClusterParameterGroup(
        "ClusterParameters",
        DBClusterParameterGroupName=here(partial(settings.names.regional, f"ledger-{_major(settings)}")),
        Description="TLS only; who connects and what changes the schema is logged",
        Family=f"{ENGINE}{_major(settings)}",
        Parameters={
            "rds.force_ssl": "1",
            "ssl_min_protocol_version": "TLSv1.2",
            "log_connections": "1",
            "log_disconnections": "1",
            "log_statement": "ddl",
            # Without details: those of a slow statement are its values, those of a refused row the row.
            # https://www.postgresql.org/docs/14/runtime-config-logging.html#GUC-LOG-PARAMETER-MAX-LENGTH
            "log_error_verbosity": "terse",
            # A forgotten transaction holds the fence, and whoever wants to raise it waits for ever.
            "idle_in_transaction_session_timeout": "60000",
        },
    )


def instance_parameters(settings: Settings) -> rds.DBParameterGroup:
    return rds.DBParameterGroup(
        "InstanceParameters",
        DBParameterGroupName=here(partial(settings.names.regional, f"ledger-{_major(settings)}")),
        Description="Statements and waits that take longer than a second are logged",
        Family=f"{ENGINE}{_major(settings)}",
        Parameters={"log_lock_waits": "1", "log_min_duration_statement": "1000"},
    )


def _major(settings: Settings) -> str:
    return settings.database.engine_version.split(".")[0]
