"""What CloudFormation cannot do itself: the custom resources, typed like any other."""

from troposphere import AWSObject
from troposphere.validators import integer


class StackSetRoles(AWSObject):
    """Waits until the administration role can really assume the execution role."""

    resource_type = "Custom::StackSetRoles"
    props = {
        "ServiceToken": (str, True),
        "ServiceTimeout": (integer, True),
        "AdministrationRoleArn": (str, True),
        "ExecutionRoleArn": (str, True),
    }


class PublishedCode(AWSObject):
    """Puts each zip that travels with the rollout function into the code bucket of each region."""

    resource_type = "Custom::PublishedCode"
    props = {
        "ServiceToken": (str, True),
        "ServiceTimeout": (integer, True),
        "Buckets": (dict, True),  # region: bucket
        "Keys": ([str], True),
    }


class StackSetOutputs(AWSObject):
    """Answers with the outputs of a StackSet's instances, once all of them are current: ``PrimaryVpcId``."""

    resource_type = "Custom::StackSetOutputs"
    props = {
        "ServiceToken": (str, True),
        "ServiceTimeout": (integer, True),
        "StackSetName": (str, True),
        "Regions": (dict, True),  # prefix: region
        "Outputs": ([str], True),
        "TemplateHash": (str, True),  # another template: ask again
    }


class ControlRecord(AWSObject):
    """Writes the first control record; never overwrites one."""

    resource_type = "Custom::ControlRecord"
    props = {
        "ServiceToken": (str, True),
        "ServiceTimeout": (integer, True),
        "Table": (str, True),
        "Active": (str, True),  # region
    }


class SchemaMigration(AWSObject):
    """Brings the ledger's schema to what this release needs, where the cluster is the writer."""

    resource_type = "Custom::SchemaMigration"
    props = {
        "ServiceToken": (str, True),
        "ServiceTimeout": (integer, True),
        "Release": (str, True),  # another release: migrate again
    }
