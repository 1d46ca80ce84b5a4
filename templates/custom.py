"""What CloudFormation cannot do itself: the custom resources, typed like any other."""

from typing import Any

from troposphere import AWSObject, PropsDictType
from troposphere.validators import integer


def _required(**types: Any) -> PropsDictType:
    """Custom resources run again only when a property changes, so none of ours is optional."""
    types |= {"ServiceToken": str, "ServiceTimeout": integer}
    return {name: (kind, True) for name, kind in types.items()}


class StackSetRoles(AWSObject):
    """Waits until the administration role can really assume the execution role, in sessions of that name."""

    resource_type = "Custom::StackSetRoles"
    props = _required(AdministrationRoleArn=str, ExecutionRoleArn=str, SessionName=str)


class PublishedCode(AWSObject):
    """Puts each zip that travels with the rollout function into every bucket of `Buckets`, by region."""

    resource_type = "Custom::PublishedCode"
    props = _required(Buckets=dict, Keys=[str])


class StackSetOutputs(AWSObject):
    """Answers with the outputs of a StackSet's instances, once all of them are current.

    `Regions` maps prefixes to regions: ``{"Primary": ...}`` and ``VpcId`` make ``PrimaryVpcId``. With another
    template they are read again.
    """

    resource_type = "Custom::StackSetOutputs"
    props = _required(StackSetName=str, Regions=dict, Outputs=[str], TemplateHash=str)


class ControlRecord(AWSObject):
    """Writes the first control record, with that region active; never overwrites one."""

    resource_type = "Custom::ControlRecord"
    props = _required(Table=str, Active=str)


class EmptiedBuckets(AWSObject):
    """Empties `Buckets`, by region, when it is deleted itself: in test environments, before they go."""

    resource_type = "Custom::EmptiedBuckets"
    props = _required(Buckets=dict)


class SchemaMigration(AWSObject):
    """Brings the ledger's schema to what this release needs, where the cluster is the writer."""

    resource_type = "Custom::SchemaMigration"
    props = _required(Release=str)
