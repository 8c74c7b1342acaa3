"""A certificate authority of its own for each test session, and what it signed."""

import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_DAYS_VALID = "2"
# The extensions that a strict verifier looks for: RFC 5280, sections 4.2.1 and 6.1.
_CONFIGURATION = """
[req]
distinguished_name = nothing_else
[nothing_else]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
authorityKeyIdentifier = keyid
[client]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Certificates:
    """PEM files in one folder; the server is `localhost` and 127.0.0.1, and nobody else."""

    folder: Path

    @property
    def ca_certificate(self) -> Path:
        return self.folder / "ca.crt"

    def client_context(self, *, identified: bool = False) -> ssl.SSLContext:
        """Trusts this authority; shows the client's certificate if `identified`."""
        context = ssl.create_default_context(cafile=self.ca_certificate)
        if identified:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context

    @property
    def server_certificate(self) -> Path:
        return self.folder / "server.crt"

    @property
    def server_key(self) -> Path:
        return self.folder / "server.key"

    @property
    def client_certificate(self) -> Path:
        return self.folder / "client.crt"

    @property
    def client_key(self) -> Path:
        return self.folder / "client.key"


def missing() -> str:
    """What must be installed first, as a sentence; empty if it is all there."""
    return "" if shutil.which("openssl") else "certificates need openssl: apt-get install openssl"


@contextmanager
def issued() -> Iterator[Certificates]:
    """A new authority with a server's and a client's certificate; needs OpenSSL 3."""
    with tempfile.TemporaryDirectory(prefix="certificates-") as name:
        folder = Path(name)
        (folder / "openssl.conf").write_text(_CONFIGURATION)
        _sign(folder, "ca", ())
        for owner in ("server", "client"):
            _sign(folder, owner, ("-CA", "ca.crt", "-CAkey", "ca.key"))
        yield Certificates(folder)


def _sign(folder: Path, name: str, issuer: tuple[str, ...]) -> None:
    command = ["openssl", "req", "-x509", "-config", "openssl.conf", "-extensions", name]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
    command += ["-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", _DAYS_VALID]
    command += ["-subj", f"/O=serving-tuner tests/CN={name}", *issuer]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
