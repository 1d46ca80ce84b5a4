"""The policies of gateway endpoints, for the calls of functions whose route tables lead to one.

https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html: what the policy of an endpoint
does not allow is refused, whatever the caller's own policies say. A route table sends to the endpoint what is
for its service in its region; calls to another region leave through the NAT gateway.
"""

from collections.abc import Callable, Mapping
from typing import Any

from ministack.core import iam_evaluator, lambda_runtime
from ministack.services import ec2, lambda_svc

from lab.embedded import authorization
from lab.embedded.authorization import Call, Refusal
from lab.embedded.functions import placement
from lab.embedded.handlers import Handlers
from lab.network import Network, gateway_endpoints

_functions: dict[str, str] = {}
"""Which function an access key was given to."""


def register(_: Handlers) -> None:
    lambda_runtime.execution_credentials = _remembered(lambda_runtime.execution_credentials)
    authorization.add(check)


def check(call: Call) -> Refusal | None:
    function = _functions.get(call.access_key)
    if function is None or call.service not in ("dynamodb", "s3"):
        return None
    if function.split(":")[3] != call.region:
        return None
    _, config, _ = lambda_svc._get_func_record_for_ref(function)
    origin = placement(config or {})
    if not origin.subnets:
        return None
    for endpoint in gateway_endpoints(_network(), origin, call.service):
        refusal = _refused(call, endpoint.get("PolicyDocument"))
        if refusal is not None:
            return refusal
    return None


def _refused(call: Call, policy: Any) -> Refusal | None:
    """Without a policy of its own an endpoint lets everything pass."""
    if not policy:
        return None
    presigned = call.request is not None and call.request.presigned
    how = "REST-QUERY-STRING" if presigned else "REST-HEADER"
    request = iam_evaluator.EvalContext(
        principal_arn=call.principal.arn,
        principal_type=call.principal.type,
        principal_account=call.principal.account,
        action=call.action,
        resource_arn=call.resource,
        region=call.region,
        service_context={
            **{name.lower(): value for name, value in call.context.items()},
            **({"s3:authtype": how} if call.service == "s3" else {}),
        },
        principal_keys=call.principal.keys,
    )
    decision = iam_evaluator.evaluate_resource_policy(policy, request).decision
    if decision == "Allow":
        return None
    why = authorization.reason(decision, "VPC endpoint", call.action)
    return Refusal(authorization.denial(call.principal.arn, call.action, call.resource, why))


def _network() -> Network:
    """As EC2 keeps it: asking its API would be asking ourselves while we answer."""
    return Network(
        subnets=tuple(ec2._subnets.values()),
        route_tables=tuple(ec2._route_tables.values()),
        nat_gateways=(),
        internet_gateways=(),
        endpoints=tuple(ec2._vpc_endpoints.values()),
        peerings=(),
        security_groups=(),
    )


def _remembered(inherited: Callable[[Any], dict[str, str]]) -> Callable[[Any], dict[str, str]]:
    def credentials(config: Mapping[str, Any]) -> dict[str, str]:
        given = inherited(config)
        _functions[given["AWS_ACCESS_KEY_ID"]] = str(config["FunctionArn"])
        return given

    return credentials
