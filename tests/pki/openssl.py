"""Certificates made by the `openssl` command: another hand than the code under test."""

import itertools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

LEAF = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth"
CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign"

CONFIG = """
[ca]
default_ca=this
[this]
database={folder}/index
new_certs_dir={folder}
unique_subject=no
policy=anything
email_in_dn=no
preserve=yes
rand_serial=yes
[anything]
organizationName=optional
commonName=optional
"""

KEYS = {
    "p256": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "p384": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"),
    "secp256k1": ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"),
    "rsa2048": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "rsa512": ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512"),
    "ed25519": ("-algorithm", "ED25519"),
    "ed448": ("-algorithm", "ED448"),
}


def require_openssl() -> str:
    """The openssl program; without it these tests would prove nothing, so its absence is a failure."""
    return shutil.which("openssl") or pytest.fail("the openssl command is needed and is not installed")


@dataclass(frozen=True, slots=True)
class Made:
    """A certificate with its key, as PEM files."""

    certificate_path: Path
    key_path: Path

    @property
    def certificate(self) -> bytes:
        return self.certificate_path.read_bytes()

    @property
    def key(self) -> bytes:
        return self.key_path.read_bytes()


class Openssl:
    """Makes keys and certificates below one folder."""

    def __init__(self, folder: Path) -> None:
        self.program = require_openssl()
        self.folder = folder
        self.numbers = itertools.count()
        self.config = folder / "openssl.cnf"
        self.config.write_text(CONFIG.format(folder=folder))
        (folder / "index").write_text("")

    def run(self, *arguments: str | Path, data: bytes = b"") -> bytes:
        done = subprocess.run([self.program, *map(str, arguments)], input=data, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def make_key(self, kind: str = "p256") -> Path:
        path = self._path("key.pem")
        self.run("genpkey", *KEYS[kind], "-out", path)
        return path

    def make(
        self,
        subject: str,
        extensions: str = LEAF,
        *,
        by: Made | None = None,
        key: Path | None = None,
        kind: str = "p256",
        start: str = "20260101000000Z",
        end: str = "20360101000000Z",
        options: tuple[str, ...] = (),
    ) -> Made:
        """A certificate signed `by` another, or by itself; `extensions` as an openssl section, "" for none."""
        made = Made(self._path("certificate.pem"), key or self.make_key(kind))
        request, section = self._path("request.pem"), self._path("extensions.cnf")
        section.write_text(extensions)
        self.run("req", "-new", "-utf8", "-subj", subject, "-key", made.key_path, "-out", request)
        signer = by or made
        identity = ("-selfsign",) if by is None else ("-cert", by.certificate_path)
        self.run(
            *("ca", "-config", self.config, "-batch", "-notext", "-in", request, "-out", made.certificate_path),
            *("-keyfile", signer.key_path, *identity, "-startdate", start, "-enddate", end),
            *(("-extfile", section) if extensions else ()),
            *(options or (() if self._has_own_digest(signer) else ("-md", "sha256"))),
        )
        return made

    def make_ca(self, subject: str = "/CN=kubernetes", extensions: str = CA, **more: object) -> Made:
        return self.make(subject, extensions, **more)  # type: ignore[arg-type]

    def _has_own_digest(self, signer: Made) -> bool:
        text = self.run("pkey", "-in", signer.key_path, "-noout", "-text").decode()
        return text.startswith("ED")

    def _path(self, name: str) -> Path:
        return self.folder / f"{next(self.numbers)}-{name}"
