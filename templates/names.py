"""The naming rule: what everything is called, and how long AWS lets a name be."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Literal, NamedTuple

Place = Literal["primary", "secondary", "witness"]
"""Where a resource was first placed. It never changes: *active* and *standby* are never part of a name."""


class BoundedName(NamedTuple):
    """A name together with the most characters AWS accepts for a thing of its kind."""

    kind: str
    name: str
    limit: int


class Names(NamedTuple):
    """Names both regions can compute, so that neither has to ask the other for them."""

    service: str
    environment: str
    domain: str

    def regional(self, component: str, place: Place) -> str:
        """One per region: ``payments-api-primary-prod``."""
        return f"{self.service}-{component}-{place}-{self.environment}"

    def shared(self, component: str) -> str:
        """One for the whole system: ``payments-journal-prod``."""
        return f"{self.service}-{component}-{self.environment}"

    def bucket(self, component: str, place: Place) -> str:
        """Unique over all accounts by a hash that holds the domain, which has only one owner."""
        seed = "\n".join((self.service, self.environment, self.domain, component, place))
        return f"{self.regional(component, place)}-{sha256(seed.encode()).hexdigest()[:8]}"

    def alias(self, component: str, place: Place) -> str:
        """A key's alias; both regions can name the other's key by it."""
        return f"alias/{self.regional(component, place)}"

    def secret(self, user: str) -> str:
        """The credentials of one database user; the replica in the other region has the same name."""
        return f"{self.service}/{self.environment}/database/{user}"

    def export(self, group: str, value: str) -> str:
        """What one stack publishes for others of its region: ``payments-prod-Network-VpcId``."""
        return f"{self.service}-{self.environment}-{group}-{value}"

    def host(self, place: Place) -> str:
        """The host name that always means one region, whichever is active."""
        return f"{place}.{self.domain}"

    def log_group(self, function: str) -> str:
        """Where Lambda writes a function's log, unless told otherwise."""
        return f"/aws/lambda/{function}"

    @property
    def metrics(self) -> str:
        """The namespace of what our own code counts; one account may hold several environments."""
        return f"{self.service}/{self.environment}"

    @property
    def plan(self) -> str:
        """The Region switch plan, found by this name because its ARN ends in a random suffix."""
        return self.shared("failover")

    def bounded(self) -> Iterator[BoundedName]:
        """The longest name of each kind whose limit a long service or environment could pass.

        The limits are the ``maxLength`` of the CloudFormation resource schemas, and for certificates that of
        their first name, https://docs.aws.amazon.com/acm/latest/userguide/gs-acm-request-public.html
        """
        yield BoundedName("Region switch plan", self.plan, 32)
        yield BoundedName("S3 bucket", self.bucket("transactions", "secondary"), 63)
        yield BoundedName("Backup vault", self.regional("ledger", "secondary"), 50)
        yield BoundedName("RDS global cluster", self.shared("ledger"), 63)
        yield BoundedName("RDS cluster", self.regional("ledger", "secondary"), 63)
        yield BoundedName("RDS instance", self.regional("ledger-1", "secondary"), 63)
        yield BoundedName("Lambda function", self.regional("migrate", "secondary"), 64)
        yield BoundedName("IAM role", self.regional("drill-region-loss", "secondary"), 64)
        yield BoundedName("certificate", self.host("secondary"), 64)
