"""The lab's certificates are what a strict client asks for, and their keys are private."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from lab.certificates import new_authority, write_private, write_server_certificate

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def test_a_server_certificate_names_hosts_and_address(tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    authority = new_authority("lab CA", NOW)
    write_server_certificate(authority, file, hosts=("a.test", "b.test"), addresses=("127.0.1.1",), now=NOW)
    certificate = x509.load_pem_x509_certificate(file.read_bytes())
    names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(names, x509.SubjectAlternativeName)
    assert names.get_values_for_type(x509.DNSName) == ["a.test", "b.test"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.1.1"]
    certificate.verify_directly_issued_by(authority.certificate)


def test_certificate_and_key_belong_together_and_are_private(tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    authority = new_authority("lab CA", NOW)
    write_server_certificate(authority, file, hosts=("a.test",), addresses=(), now=NOW)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_private_file_replaces_one_that_was_not(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("old")
    file.chmod(0o644)
    write_private(file, b"new")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o600)
