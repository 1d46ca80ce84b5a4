"""Where a template's resources are: what they are called there, and what they are encrypted with."""

from collections.abc import Callable
from functools import partial

from msgspec import Struct

from templates.config import Settings
from templates.encryption import KEY_ARN
from templates.places import here
from templates.policies import Value


class Site(Struct, frozen=True):
    """`name` makes a name of a component."""

    name: Callable[[str], Value]
    key_arn: Value


def data_site(settings: Settings) -> Site:
    """Either data region: the template finds out which when it is deployed."""
    return Site(
        lambda component: here(partial(settings.names.regional, component)), KEY_ARN.read(settings.names)
    )


def witness_site(settings: Settings, key_arn: Value) -> Site:
    """Its template makes the key itself."""
    return Site(lambda component: settings.names.regional(component, "witness"), key_arn)
