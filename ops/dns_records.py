"""Records of a domain as everybody sees them, for what has to be so before certificates are issued."""

from typing import Final

import dns.resolver
from dns.exception import DNSException

from failover.errors import Unavailable
from ops.resolver import Endpoint

_SECONDS: Final = 5.0


class PublicRecords:
    """Asked by the host's own configuration unless a server is named, as the lab's is."""

    def __init__(self, server: Endpoint | None) -> None:
        self._resolver = dns.resolver.Resolver(configure=server is None)
        self._resolver.lifetime = _SECONDS
        if server is not None:
            self._resolver.nameservers, self._resolver.port = [server[0]], server[1]

    def name_servers(self, domain: str) -> list[str]:
        return self._texts(domain, "NS")

    def issuers(self, domain: str) -> dict[str, list[str]]:
        """From the domain upwards: who may issue certificates, by the CAA records of each name."""
        found: dict[str, list[str]] = {}
        name = domain
        while "." in name:
            records = [text.split(None, 2) for text in self._texts(name, "CAA")]
            found[name] = [value.strip('"') for _, tag, value in records if tag == "issue"]
            name = name.partition(".")[2]
        return found

    def _texts(self, name: str, kind: str) -> list[str]:
        """None where the name or such records are not there. Raises Unavailable without an answer."""
        try:
            return [record.to_text() for record in self._resolver.resolve(name, kind)]
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except DNSException as error:
            raise Unavailable(f"{kind} of {name}: {type(error).__name__}") from error
