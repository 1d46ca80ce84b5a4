"""KMS keys as other services see them: a reference is an id, an ARN or an alias of the service's own
region.
"""

from typing import Any

from ministack.core.responses import get_region
from ministack.services import kms

from lab.embedded.handlers import ResourceError

_AWS_MANAGED = "alias/aws/"


def require_key(reference: str) -> str:
    """The key's ARN. Raises ResourceError when the region has no such key or it is on its way out."""
    if _AWS_MANAGED in reference:
        return reference
    key: dict[str, Any] | None = kms._resolve_key(reference)
    if key is None:
        raise ResourceError(
            f"KMS key {reference} does not exist in {get_region()} or is not allowed to be accessed "
            "(KMSKeyNotAccessibleFault)"
        )
    if key["KeyState"] != "Enabled":
        raise ResourceError(f"{key['Arn']} is {key['KeyState']}. (KMSInvalidStateException)")
    return str(key["Arn"])
