"""What a StackSet may be made from: a self-managed set and one readable template."""

from collections.abc import Mapping
from typing import Any

from ministack.services.cloudformation import helpers
from ministack.services.cloudformation.engine import _parse_template

from lab.embedded.handlers import ResourceError, error_text


def check(properties: Mapping[str, Any]) -> None:
    """What the schema cannot say. Raises ResourceError."""
    if properties.get("PermissionModel", "SELF_MANAGED") != "SELF_MANAGED":
        raise ResourceError(
            "You must enable organizations access to operate a service managed stack set (ValidationError)"
        )
    if "AutoDeployment" in properties:
        raise ResourceError(
            "AutoDeployment can be specified only if PermissionModel is SERVICE_MANAGED (ValidationError)"
        )
    if ("TemplateURL" in properties) == ("TemplateBody" in properties):
        raise ResourceError("Exactly one of TemplateBody and TemplateURL must be specified (ValidationError)")


def template_of(properties: Mapping[str, Any]) -> str:
    """The template itself. Raises ResourceError when it cannot be read or is none."""
    if "TemplateURL" in properties:
        body, refusal = helpers._resolve_template({"TemplateURL": [properties["TemplateURL"]]})
        if refusal is not None:
            raise ResourceError(error_text(refusal[2]))
    else:
        body = properties.get("TemplateBody")
    try:
        parsed = _parse_template(str(body))
    except Exception as error:
        raise ResourceError(f"Template format error: {error} (ValidationError)") from error
    if not parsed.get("Resources"):
        raise ResourceError(
            "Template format error: At least one Resources member must be defined. (ValidationError)"
        )
    return str(body)
