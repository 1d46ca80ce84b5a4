"""How one template serves two regions: it looks up, when it is deployed, in which place it finds itself."""

from collections.abc import Callable

from troposphere import Equals, FindInMap, If, Ref, Template

from templates.config import Settings
from templates.names import Place

IS_PRIMARY = "IsPrimary"
_REGIONS = "Regions"


def add_places(template: Template, settings: Settings) -> None:
    """Adds what the functions below refer to; every template that both regions deploy calls this once."""
    regions, network = settings.regions, settings.network
    template.add_mapping(
        _REGIONS,
        {
            regions.primary: {
                "Place": "primary",
                "PeerRegion": regions.secondary,
                "PeerPlace": "secondary",
                "Cidr": str(network.primary_cidr),
                "PeerCidr": str(network.secondary_cidr),
            },
            regions.secondary: {
                "Place": "secondary",
                "PeerRegion": regions.primary,
                "PeerPlace": "primary",
                "Cidr": str(network.secondary_cidr),
                "PeerCidr": str(network.primary_cidr),
            },
        },
    )
    template.add_condition(IS_PRIMARY, Equals(Ref("AWS::Region"), regions.primary))


def lookup(value: str) -> FindInMap:
    """``Place``, ``PeerRegion``, ``PeerPlace``, ``Cidr`` or ``PeerCidr`` of the deploying region."""
    return FindInMap(_REGIONS, Ref("AWS::Region"), value)


def here(name: Callable[[Place], str]) -> If:
    """A name in the region that deploys the template: ``here(partial(names.regional, "api"))``."""
    return If(IS_PRIMARY, name("primary"), name("secondary"))


def peer(name: Callable[[Place], str]) -> If:
    """The same name in the other region."""
    return If(IS_PRIMARY, name("secondary"), name("primary"))
