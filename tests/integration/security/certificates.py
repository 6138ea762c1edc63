"""Certificate authorities and what they signed, as PEM files, made anew for each session."""

from pathlib import Path
from typing import Final, NamedTuple

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

HERE: Final = ("localhost", "127.0.0.1")
ELSEWHERE: Final = "elsewhere.example"


class Identity(NamedTuple):
    """A key, the certificate for it, and both in one file."""

    key: Path
    certificate: Path
    together: Path


class Authority:
    """One authority, with its files in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._authority = trustme.CA()
        self.certificate = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.certificate))

    def identity(self, *names: str) -> Identity:
        """Issue a certificate for host names and addresses."""
        issued = self._authority.issue_cert(*names)
        stem = self._folder / f"{names[0]}-{len(list(self._folder.iterdir()))}"
        made = Identity(*(stem.with_suffix(suffix) for suffix in (".key", ".crt", ".pem")))
        key = load_pem_private_key(issued.private_key_pem.bytes(), password=None)
        made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))  # as Kafka reads it
        made.key.chmod(0o600)  # libpq refuses a key that others may read
        made.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        made.together.write_bytes(made.key.read_bytes() + made.certificate.read_bytes())
        return made
