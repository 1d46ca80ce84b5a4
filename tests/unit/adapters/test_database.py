import re
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from adapters.database import CA_BUNDLE, Database, parameters
from adapters.secrets import Credentials
from templates.support import STRONG_CONSISTENCY_SETS

REGIONS = sorted({region for regions in STRONG_CONSISTENCY_SETS for region in regions})


@pytest.fixture(scope="module")
def authorities() -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(CA_BUNDLE.read_bytes())


def test_every_authority_is_a_root_that_is_valid_for_years(authorities: list[x509.Certificate]) -> None:
    assert len(ssl.create_default_context(cafile=CA_BUNDLE).get_ca_certs()) == len(authorities) > 0
    for authority in authorities:
        authority.verify_directly_issued_by(authority)
        assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert authority.not_valid_after_utc > datetime.now(UTC) + timedelta(days=365 * 5)


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_we_admit_has_its_authorities(authorities: list[x509.Certificate], region: str) -> None:
    names = {
        str(authority.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        for authority in authorities
    }
    kinds = {match[1] for name in names if (match := re.search(rf"RDS {region} Root CA (\w+) G1", name))}
    assert kinds == {"RSA2048", "RSA4096", "ECC384"}


def test_the_server_is_always_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    database, credentials = Database("host", 5432, "ledger"), Credentials("user", "secret")
    monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    told = parameters(database, credentials, statement_ms=1, lock_ms=1)
    assert (told["sslmode"], told["sslrootcert"]) == ("verify-full", str(CA_BUNDLE))
    assert told["gssencmode"] == "disable"  # whatever the driver's version prefers
    monkeypatch.setenv("PGSSLROOTCERT", "/lab/ca.pem")
    assert parameters(database, credentials, statement_ms=1, lock_ms=1)["sslrootcert"] == "/lab/ca.pem"


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(Credentials("user", "secret"))


def test_who_has_minutes_waits_longer_for_the_server() -> None:
    credentials = Credentials("user", "secret")
    brief, patient = Database("host", 5432, "ledger"), Database("host", 5432, "ledger", connect_seconds=20)
    waits = [
        parameters(each, credentials, statement_ms=1, lock_ms=1)["connect_timeout"]
        for each in (brief, patient)
    ]
    assert waits == [2, 20]
