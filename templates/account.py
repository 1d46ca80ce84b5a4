"""What AWS keeps once for an account and region, not for a system: where API Gateway writes its logs."""

from troposphere import Template, apigateway, iam

from templates import deliveries, policies
from templates.lifetime import keep
from templates.policies import Value


def add_api_account(template: Template, role_name: Value, boundary: Value, *, disposable: bool) -> None:
    """Kept when the stack goes: other APIs of the account may log by it, and CloudFormation would not put
    back what was set before.
    """
    role = iam.Role(
        "ApiLogRole",
        RoleName=role_name,
        PermissionsBoundary=boundary,
        Description="Lets API Gateway write the logs of every API in this region",
        # A setting of the account has no ARN that could be named as its source.
        AssumeRolePolicyDocument=policies.document(
            policies.assumed_by_service("apigateway.amazonaws.com"),
        ),
        Policies=[
            iam.Policy(PolicyName="delivery", PolicyDocument=policies.document(deliveries.write_api_logs()))
        ],
    )
    template.add_resource(keep(role, disposable=disposable))
    account = apigateway.Account("ApiAccount", CloudWatchRoleArn=role.get_att("Arn"))
    template.add_resource(keep(account, disposable=disposable))
