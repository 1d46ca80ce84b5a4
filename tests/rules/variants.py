"""The configurations that every law is held against."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from generator.render import render
from templates.config import Audit, Database, Drills, Failover, Functions, Network, Regions, Settings, load

IN_DATA_REGIONS = ("foundation", "data", "service")
REGIONAL = (*IN_DATA_REGIONS, "witness")
TEMPLATES = ("zone", *REGIONAL, "root")
_DEPLOYMENT = Path(__file__).parents[2] / "deployment.toml"

Template = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """One configuration and everything rendered for it."""

    settings: Settings
    templates: Mapping[str, Template]

    def regions(self, name: str) -> tuple[str, ...]:
        regions = self.settings.regions
        if name == "witness":
            return (regions.witness,)
        return (regions.primary, regions.secondary) if name in IN_DATA_REGIONS else (regions.primary,)


def _default() -> Settings:
    return load(_DEPLOYMENT, None, {})


def _existing_zone() -> Settings:
    return replace(_default(), dns=replace(_default().dns, hosted_zone_id="Z0123456789ABCDEFGHIJ"))


def _europe() -> Settings:
    return replace(
        _default(), regions=Regions(primary="eu-west-1", secondary="eu-west-3", witness="eu-central-1")
    )


def _engine_17() -> Settings:
    database: Database = replace(_default().database, engine_version="17.7")
    return replace(_default(), database=database)


def _x86() -> Settings:
    functions: Functions = replace(_default().functions, architecture="x86_64")
    return replace(_default(), functions=functions)


def _one_nat() -> Settings:
    network: Network = replace(_default().network, nat_gateways="single")
    return replace(_default(), network=network)


def _no_trail() -> Settings:
    return replace(_default(), audit=Audit(trail=False))


def _no_faults() -> Settings:
    return replace(_default(), drills=Drills(faults=False))


def _people_decide() -> Settings:
    return replace(_default(), failover=Failover(automatic=False))


def _test_environment() -> Settings:
    return load(_DEPLOYMENT, "lab", {})


SETTINGS = {
    "default": _default,
    "existing-zone": _existing_zone,
    "europe": _europe,
    "engine-17": _engine_17,
    "x86": _x86,
    "one-nat": _one_nat,
    "no-trail": _no_trail,
    "no-faults": _no_faults,
    "people-decide": _people_decide,
    "test-environment": _test_environment,
}


@cache
def variant(name: str) -> Variant:
    settings = SETTINGS[name]()
    return Variant(settings, {title: json.loads(text) for title, text in render(settings).items()})
