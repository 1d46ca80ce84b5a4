"""The permissions boundary of a role: what its own policies grant beyond it does not count.

MiniStack's IAM evaluates boundaries; its CloudFormation leaves the property out.
https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
"""

from typing import Any

from ministack.services import iam

from lab.embedded.handlers import Created, Handlers, Properties, checked

TYPE = "AWS::IAM::Role"


def register(handlers: Handlers) -> None:
    create, update = handlers[TYPE]["create"], handlers[TYPE]["update"]

    def create_role(logical_id: str, properties: Properties, stack_name: str) -> Created:
        created: Created = create(logical_id, properties, stack_name)
        _set_boundary(created[0], properties)
        return created

    def update_role(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Created:
        updated: Created = update(physical_id, old, new, *rest)
        _set_boundary(updated[0], new)
        return updated

    handlers[TYPE].update(create=create_role, update=update_role)


def _set_boundary(role: str, properties: Properties) -> None:
    boundary = properties.get("PermissionsBoundary")
    if boundary:
        checked(iam._put_role_permissions_boundary({"RoleName": role, "PermissionsBoundary": str(boundary)}))
    elif iam._roles[role].get("PermissionsBoundary"):
        checked(iam._delete_role_permissions_boundary({"RoleName": role}))
