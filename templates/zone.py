"""The hosted zone: deployed once, before everything else, and delegated before a certificate waits for it."""

from troposphere import Join, Output, Template, route53

from templates.config import Settings
from templates.lifetime import keep
from templates.links import Link

HOSTED_ZONE_ID = Link("Zone", "HostedZoneId", "Zone that holds the records of the domain.")


def render(settings: Settings) -> Template:
    template = Template(Description="Payments: hosted zone of the domain")
    template.set_version()
    zone = route53.HostedZone(
        "HostedZone",
        Name=settings.dns.domain,
        HostedZoneConfig=route53.HostedZoneConfiguration(
            Comment=f"{settings.service} {settings.environment}"
        ),
    )
    # Made again, a zone has other name servers, and the delegation at the parent points nowhere.
    template.add_resource(keep(zone, disposable=settings.test_environment))
    template.add_output(HOSTED_ZONE_ID.publish(settings.names, zone.ref()))
    template.add_output(
        Output(
            "NameServers",
            Description="What the parent zone has to delegate the domain to, separated by commas.",
            Value=Join(",", zone.get_att("NameServers")),
        )
    )
    return template
