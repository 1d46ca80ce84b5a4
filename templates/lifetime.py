"""What happens to a resource that nobody can make again, when its stack no longer wants it."""

from typing import TypeVar

from troposphere import AWSObject, Delete, Retain, RetainExceptOnCreate

Resource = TypeVar("Resource", bound=AWSObject)


def keep(resource: Resource, *, disposable: bool) -> Resource:
    """Keeps the resource when its stack is deleted or replaces it; not where it is `disposable`, in tests.

    RetainExceptOnCreate, not Retain: a failed first deployment must not leave debris whose fixed name blocks
    the second attempt. CloudFormation knows it for deletion only; a replacement never happens on creation.
    """
    resource.DeletionPolicy = Delete if disposable else RetainExceptOnCreate
    resource.UpdateReplacePolicy = Delete if disposable else Retain
    return resource
