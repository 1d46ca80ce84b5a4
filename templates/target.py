"""Which environment a stack is for: whoever deploys it says so again.

The names inside a template are its environment's, the name of the stack is the deployment's. With a build of
another environment in ``dist/``, CloudFormation refuses before there is a change set; otherwise it would
replace everything the stack holds.
"""

from troposphere import Parameter, Template

from templates.config import Settings

ENVIRONMENT = "Environment"


def add_environment(template: Template, settings: Settings) -> Parameter:
    return template.add_parameter(
        Parameter(
            ENVIRONMENT,
            Type="String",
            AllowedValues=[settings.environment],
            Description="The environment this template was built for; no other is accepted.",
        )
    )
