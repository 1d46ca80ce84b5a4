"""What Region switch finds when it evaluates a plan in a region: are its steps' resources there and readable?

Read with the plan's execution role, in the region that would be activated.
https://docs.aws.amazon.com/r53recovery/latest/dg/working-with-rs-plan-evaluation.html
"""

from collections.abc import Callable, Iterable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lab.embedded.handlers import Properties
from lab.embedded.region_switch_state import Execution
from lab.embedded.region_switch_steps import StepFailed, clients, own

Client = Callable[[str], Any]


def warnings(
    plan_arn: str, region: str, steps: Iterable[Properties], role_arn: str, endpoint_url: str
) -> list[Properties]:
    """In the API's words, but for what is the same in all of them."""
    asking = Execution({}, plan_arn, 0, region, "evaluate", "graceful")
    try:
        client = clients(asking, role_arn, endpoint_url)
    except StepFailed as failure:
        return [{"warningMessage": str(failure), "resourceArn": role_arn}]
    return [warning for step in steps for warning in _of_step(step, region, client)]


def _of_step(step: Properties, region: str, client: Client) -> Iterable[Properties]:
    field, look = _LOOKS[step["executionBlockType"]]
    try:
        look(step["executionBlockConfiguration"][field], region, client)
    except (StepFailed, ClientError, BotoCoreError) as failure:
        yield {"stepName": step["name"], "warningMessage": str(failure)}


def _function(config: Properties, region: str, client: Client) -> None:
    client("lambda").get_function(FunctionName=own([one["arn"] for one in config["lambdas"]], region))


def _ledger(config: Properties, region: str, client: Client) -> None:
    databases, cluster = client("rds"), own(config["databaseClusterArns"], region)
    databases.describe_global_clusters(GlobalClusterIdentifier=config["globalClusterIdentifier"])
    databases.describe_db_clusters(DBClusterIdentifier=cluster.rpartition(":")[2])


_LOOKS: dict[str, tuple[str, Callable[[Properties, str, Client], None]]] = {
    "CustomActionLambda": ("customActionLambdaConfig", _function),
    "AuroraGlobalDatabase": ("globalAuroraConfig", _ledger),
}
