"""A real Kubernetes control plane on loopback, for the demo: etcd, kube-apiservers of one cluster, its controllers.

    with ControlPlane(folder, find_programs(), make_ca("people", now, 1)) as plane:
        plane.ask("GET", "/version")      # Answer(status, document)
        plane.run_kubectl("get", "nodes")

Where nobody is named, `plane.admin` asks, a member of system:masters. A second cluster over the same etcd is
`ControlPlane(..., etcd=plane.etcd, name="second")`. The flags are explained on kubernetes.io's pages kube-apiserver and
kube-controller-manager (reference/command-line-tools-reference).
"""

import base64
import contextlib
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubecustody.cli.programs import Deadline, Program, free_port
from kubecustody.cluster.access import Access
from kubecustody.cluster.tls import make_context
from kubecustody.core.errors import OperatorError
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import DAY_SECONDS, PemPair, make_ca, make_client_certificate
from kubecustody.pki.tls import make_server_certificate

MASTERS = "system:masters"
ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"  # the ecosystem's word for a folder with these programs
PROGRAMS = ("kube-apiserver", "kube-controller-manager", "etcd")

CONTROLLERS = (
    "certificatesigningrequest-signing-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
    "clusterrole-aggregation-controller",  # without it the roles view, edit and admin are empty
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "namespace-controller",
    "garbage-collector-controller",
)


class ProgramsMissing(OperatorError):
    """The programs of a control plane are not there, and what to do about it."""


class Answer(NamedTuple):
    """What an API server said; `document` is its JSON."""

    status: int
    document: Any


@dataclass(frozen=True, slots=True)
class Identity:
    """A client certificate (with what stands beside it in the holder's file) and a token; nobody if both are absent."""

    pair: PemPair | None = None
    token: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What a request carries of it."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @property
    def fingerprint(self) -> str:
        """Lower-case hex SHA-256 of the certificate."""
        assert self.pair is not None
        return load_certificates(self.pair.certificate)[0].fingerprint_hex


def find_programs() -> Path:
    """The folder with the programs of a control plane: KUBEBUILDER_ASSETS, or what scripts/control-plane built last.

    Raises ProgramsMissing; nothing is built here.
    """
    given = os.environ.get(ASSETS_VARIABLE)
    if given:
        lacking = _lacking(Path(given))
        if lacking:
            raise ProgramsMissing(
                f"{ASSETS_VARIABLE} is {given}, but {', '.join(lacking)} cannot be run there. Put it there, or unset "
                f"{ASSETS_VARIABLE} and run scripts/control-plane in a checkout of this project."
            )
        return Path(given)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubecustody" / "control-plane"
    # The stamp is written last: without it a build was cut off.
    built = [one.parent for one in cache.glob("*/stamp") if not _lacking(one.parent)]
    if not built:
        raise ProgramsMissing(
            "There is no control plane to start. Run scripts/control-plane in a checkout of this project (the first "
            "time it takes minutes, 1 GB of downloads and 5 GB of disk), or set "
            f"{ASSETS_VARIABLE} to a folder with {', '.join(PROGRAMS)}."
        )
    return max(built, key=lambda folder: (folder / "stamp").stat().st_mtime)


def _lacking(folder: Path) -> list[str]:
    return [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]


def find_kubectl() -> str | None:
    """The path of kubectl: beside this Python, or on the user's path."""
    return shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")


class Etcd:
    """One etcd process: each cluster has its own prefix of keys in it."""

    def __init__(self, folder: Path, programs: Path) -> None:
        folder.mkdir()
        self.data = folder / "data"
        self.url, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.program = Program(
            "etcd",
            [
                programs / "etcd",
                *flags(
                    data_dir=self.data,
                    listen_client_urls=self.url,
                    advertise_client_urls=self.url,
                    listen_peer_urls=peer,
                    initial_advertise_peer_urls=peer,
                    initial_cluster=f"default={peer}",
                    log_level="warn",
                ),
                "--unsafe-no-fsync",
            ],
            folder / "etcd.log",
        )

    def wait_until_ready(self) -> None:
        """Return once it answers. Raises StartFailed."""
        deadline = Deadline(self.program)
        address = urlsplit(self.url).netloc
        while True:
            connection = HTTPConnection(address, timeout=5)
            with contextlib.closing(connection), contextlib.suppress(OSError):
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return
            deadline.wait("GET /health is 200")

    def stop(self) -> None:
        """End it, and throw its data away."""
        self.program.stop()
        shutil.rmtree(self.data, ignore_errors=True)


class ControlPlane:
    """A cluster's control plane, ready within the block.

    `urls` are its API servers' addresses, whose certificate is for `hosts`; `server_ca` vouches for them, `client_ca`
    for those who come. Without a kube-controller-manager among the programs there are no controllers.
    """

    def __init__(
        self,
        folder: Path,
        programs: Path,
        client_ca: PemPair,
        *,
        servers: int = 1,
        hosts: Sequence[str] = ("localhost", "127.0.0.1"),
        etcd: Etcd | None = None,
        name: str = "main",
    ) -> None:
        self.folder, self.programs, self.client_ca, self.name = folder, programs, client_ca, name
        self.has_controllers = (programs / "kube-controller-manager").exists()
        self._ports = [free_port() for _ in range(servers)]
        self.urls = [f"https://127.0.0.1:{port}" for port in self._ports]
        self._given_etcd = etcd
        self._stack = contextlib.ExitStack()
        self.servers: list[Program] = []
        now = int(time.time())
        self.server_authority = make_ca("server CA", now, 1)
        self.admin = self._issue_master("admin")
        self._write_pair("server", make_server_certificate(self.server_authority, hosts, now))
        self._write_pair("client-ca", client_ca)
        self._write("server-ca.crt", self.server_ca)
        self._write("service-accounts.key", _elliptic_key())

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.etcd = self._given_etcd or self._start_etcd(stack)
            for number, port in enumerate(self._ports):
                command = flags(**self._server_options(port))
                self.servers.append(self._start(stack, f"kube-apiserver-{number}", "kube-apiserver", *command))
            for number, server in enumerate(self.servers):
                self._wait_until_ready(server, number)
            if self.has_controllers:
                self._start_controllers(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def server_ca(self) -> bytes:
        """The PEM of the CA that vouches for the API servers."""
        return self.server_authority.certificate

    @property
    def url(self) -> str:
        """The address of the first API server."""
        return self.urls[0]

    def ask(
        self,
        method: str,
        path: str,
        by: Identity | None = None,
        *,
        body: object = None,
        url: str | None = None,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """What an API server (the first one unless `url` says which) answers someone."""
        who = by or self.admin
        parts = urlsplit(url or self.url)
        connection = HTTPSConnection(str(parts.hostname), parts.port, context=self._context(who), timeout=30)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json", **who.headers, **headers})
            answer = connection.getresponse()
            text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return Answer(answer.status, json.loads(text) if is_json else text.decode())

    def _context(self, who: Identity) -> ssl.SSLContext:
        certificate, key = (who.pair.certificate, who.pair.private_key) if who.pair else (None, None)
        return make_context(Access(self.url, self.server_ca, certificate=certificate, private_key=key))

    def run_kubectl(
        self, *words: str | Path, by: Identity | None = None, url: str | None = None, kubeconfig: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """A kubectl command, with a kubeconfig of its text or one made for someone and an address."""
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig", dir=self.folder) as file:
            file.write(kubeconfig or self.kubeconfig(by, url=url))
            file.flush()
            # Its cache of the discovery belongs to this folder, not to whoever runs this.
            environment = {**os.environ, "HOME": str(self.folder), "KUBECONFIG": file.name}
            command = [find_kubectl() or "kubectl", *map(str, words)]
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)  # noqa: S603

    def kubeconfig(self, by: Identity | None = None, *, url: str | None = None) -> str:
        """Someone's kubeconfig for an address."""
        who = by or self.admin
        user = {"token": who.token} if who.token else {}
        if who.pair:
            user["client-certificate-data"] = _base64(who.pair.certificate)
            user["client-key-data"] = _base64(who.pair.private_key)
        return format_kubeconfig(
            user, server=url or self.url, **{"certificate-authority-data": _base64(self.server_ca)}
        )

    def _issue_master(self, common_name: str) -> Identity:
        now = int(time.time())
        return Identity(make_client_certificate(self.client_ca, common_name, [MASTERS], now - 60, now + DAY_SECONDS))

    def _start_etcd(self, stack: contextlib.ExitStack) -> Etcd:
        etcd = Etcd(self.folder / "etcd", self.programs)
        stack.callback(etcd.stop)
        etcd.wait_until_ready()
        return etcd

    def _start(self, stack: contextlib.ExitStack, name: str, program_name: str, *words: str) -> Program:
        program = Program(name, [self.programs / program_name, *words], self.folder / f"{name}.log")
        stack.callback(program.stop)
        return program

    def _server_options(self, port: int) -> dict[str, object]:
        return {
            "etcd_servers": self.etcd.url,
            "etcd_prefix": f"/{self.name}",
            "secure_port": port,
            "bind_address": "127.0.0.1",
            "advertise_address": "127.0.0.1",
            "endpoint_reconciler_type": "none",
            "tls_cert_file": self.folder / "server.crt",
            "tls_private_key_file": self.folder / "server.key",
            "client_ca_file": self.folder / "client-ca.crt",
            "service_account_issuer": "https://kubernetes.default.svc",
            "service_account_key_file": self.folder / "service-accounts.key",
            "service_account_signing_key_file": self.folder / "service-accounts.key",
            "service_cluster_ip_range": "10.96.0.0/24",
            "authorization_mode": "Node,RBAC",
            "shutdown_delay_duration": "0s",
        }

    def _wait_until_ready(self, server: Program, number: int) -> None:
        deadline = Deadline(server)
        for path in ("/readyz", "/api/v1/namespaces/kube-system"):
            while True:
                with contextlib.suppress(OSError):
                    if self.ask("GET", path, url=self.urls[number]).status == 200:
                        break
                deadline.wait(f"GET {path} is 200")

    def _start_controllers(self, stack: contextlib.ExitStack) -> None:
        # The roles of its own user suffice only if each controller comes as a service account; this is quicker.
        own = self._issue_master("system:kube-controller-manager")
        program = "kube-controller-manager"
        command = flags(
            kubeconfig=self._write("controllers.kubeconfig", self.kubeconfig(own)),
            controllers=",".join(CONTROLLERS),
            cluster_signing_cert_file=self.folder / "client-ca.crt",
            cluster_signing_key_file=self.folder / "client-ca.key",
            root_ca_file=self.folder / "server-ca.crt",
            service_account_private_key_file=self.folder / "service-accounts.key",
            leader_elect="false",
            secure_port=0,
        )
        self.controllers = self._start(stack, program, program, *command)
        deadline = Deadline(self.controllers)
        while not self.ask("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/admin").document["rules"]:
            deadline.wait("the role admin is filled")

    def _write_pair(self, name: str, pair: PemPair) -> None:
        self._write(f"{name}.crt", pair.certificate)
        self._write(f"{name}.key", pair.private_key)

    def _write(self, name: str, content: bytes | str) -> Path:
        """The path of a file in the folder, put in place whole, since running servers read it again."""
        new = self.folder / f"{name}.new"
        new.touch(0o600)
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        return new.rename(self.folder / name)


def flags(**named: object) -> list[str]:
    """Command line flags, `--like-this=value`."""
    return [f"--{name.replace('_', '-')}={value}" for name, value in named.items()]


def format_kubeconfig(user: Mapping[str, str], **cluster: str) -> str:
    """A kubeconfig as JSON, which is YAML too."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "someone", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "someone"}}],
            "current-context": "it",
        }
    )


def _elliptic_key() -> bytes:
    """A P-256 key as SEC 1: the API server refuses PKCS#8 for service account keys."""
    key = ec.generate_private_key(ec.SECP256R1())
    sec1 = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, sec1, serialization.NoEncryption())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
