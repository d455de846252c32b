"""A real Kubernetes control plane on loopback: etcd, kube-apiservers of one cluster, and the controllers that matter.

    with ControlPlane(folder, find_programs(), make_ca("people", now, 1)) as plane:
        person = plane.issue("2111-1")             # by the client CA, whose key the test holds
        plane.ask("GET", "/version", person)       # Answer(status, document)
        plane.kubectl("auth", "whoami", by=person)  # standard output

Where nobody is named, `plane.admin` asks, a member of system:masters. A second cluster over the same etcd is
`ControlPlane(..., etcd=plane.etcd, name="second")`. The flags are explained on kubernetes.io's pages kube-apiserver and
kube-controller-manager (reference/command-line-tools-reference).
"""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from control_plane.identities import Identity, client_context
from control_plane.processes import Deadline, Program
from installations import free_port
from kubecustody.pki.certificates import format_certificates
from kubecustody.pki.client_certificates import issue_client_certificate, load_signer
from kubecustody.pki.issuing import PemPair, make_ca, make_client_certificate
from kubecustody.pki.tls import make_server_certificate

REPOSITORY = Path(__file__).parents[2]
KUBECTL = Path(sys.executable).parent / "kubectl"
DAY_SECONDS = 86_400
MASTERS = "system:masters"
FRONT_PROXY = "front-proxy"
# More addresses of the API servers' certificate, for what stands before them and leaves TLS alone.
PASS_THROUGH_ADDRESSES = [f"127.0.1.{number}" for number in range(1, 9)]
SIGNER_NAME = "kubernetes.io/kube-apiserver-client"

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

NODE_AND_RBAC = """\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- {type: Node, name: node}
- {type: RBAC, name: rbac}
"""

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
"""


class Answer(NamedTuple):
    """What an API server said; `document` is its JSON."""

    status: int
    document: Any


class ProgramsMissing(Exception):
    """The programs of a control plane are not there, and what to do about it."""


def find_programs() -> Path:
    """The folder with kube-apiserver and etcd. Raises ProgramsMissing: nothing is built here."""
    done = subprocess.run([REPOSITORY / "scripts/control-plane", "--find"], capture_output=True, text=True)
    if done.returncode != 0:
        raise ProgramsMissing(done.stderr.strip())
    return Path(done.stdout.strip())


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
        self.program.stop()
        shutil.rmtree(self.data, ignore_errors=True)


class ControlPlane:
    """A cluster's control plane, ready within the block.

    `urls` are its API servers' addresses, `server_ca` vouches for them, `client_ca` for those who come. `authorization`
    is an AuthorizationConfiguration, `audit_webhook` a URL that gets audit events about a second late. Without a
    kube-controller-manager among the programs there are no controllers.
    """

    def __init__(
        self,
        folder: Path,
        programs: Path,
        client_ca: PemPair,
        *,
        servers: int = 2,
        etcd: Etcd | None = None,
        name: str = "main",
        audit_webhook: str | None = None,
        authorization: str = NODE_AND_RBAC,
    ) -> None:
        self.folder, self.programs, self.client_ca, self.name = folder, programs, client_ca, name
        self.has_controllers = (programs / "kube-controller-manager").exists()
        self._ports = [free_port() for _ in range(servers)]
        self.urls = [f"https://127.0.0.1:{port}" for port in self._ports]
        self._given_etcd, self._audit_webhook = etcd, audit_webhook
        self._stack = contextlib.ExitStack()
        self.servers: list[Program] = []
        self._make_identities(["localhost", "127.0.0.1", *PASS_THROUGH_ADDRESSES])
        self.authorize(authorization)

    def _make_identities(self, hosts: Sequence[str]) -> None:
        now = int(time.time())
        self.server_authority = make_ca("server CA", now, 1)
        self.admin = self.issue("admin", groups=[MASTERS])
        front_ca = make_ca("front proxy CA", now, 1)
        self.front_proxy = make_client_certificate(front_ca, FRONT_PROXY, (), now, now + DAY_SECONDS)
        self._write_pair("server", make_server_certificate(self.server_authority, hosts, now))
        self._write_pair("client-ca", self.client_ca)
        self._write("server-ca.crt", self.server_ca)
        self._write("front-proxy-ca.crt", front_ca.certificate)
        self._write("service-accounts.key", _elliptic_key())
        self.trust()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self.etcd = self._given_etcd or self._start_etcd(stack)
            for number, port in enumerate(self._ports):
                program = self._start(stack, f"kube-apiserver-{number}", "kube-apiserver", *self._server_flags(port))
                self.servers.append(program)
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

    def issue(
        self, common_name: str, *, groups: Sequence[str] | None = None, begins: int = -60, ends: int = 3600
    ) -> Identity:
        """A client certificate of the client CA, valid from and to these seconds from now, made as the product makes a
        person's, or with these groups.
        """
        now = int(time.time())
        if groups is not None:
            return Identity(make_client_certificate(self.client_ca, common_name, groups, now + begins, now + ends))
        made = issue_client_certificate(
            load_signer(self.client_ca), common_name=common_name, not_before=now + begins, not_after=now + ends
        )
        assert made.private_key is not None
        return Identity(PemPair(format_certificates([made.certificate]).encode(), made.private_key))

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
        context = client_context(self.server_ca, who.pair)
        connection = HTTPSConnection(str(parts.hostname), parts.port, context=context, timeout=30)
        with contextlib.closing(connection):
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json", **who.headers, **headers})
            answer = connection.getresponse()
            text = answer.read()
        is_json = answer.headers.get_content_type() == "application/json"
        return Answer(answer.status, json.loads(text) if is_json else text.decode())

    def whoami(self, by: Identity, *, url: str | None = None) -> Answer:
        """The user as whom an API server sees someone, or its refusal."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = self.ask("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", by, body=review, url=url)
        return Answer(answer.status, answer.document["status"]["userInfo"]) if answer.status == 201 else answer

    def kubectl(self, *words: str | Path, by: Identity | None = None, url: str | None = None) -> str:
        """The standard output of a kubectl command that must succeed."""
        done = self.run_kubectl(*words, by=by, url=url)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run_kubectl(
        self, *words: str | Path, by: Identity | None = None, url: str | None = None, kubeconfig: str | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """A kubectl command, with a kubeconfig of its text or one made for someone and an address."""
        with tempfile.NamedTemporaryFile("w", suffix=".kubeconfig") as file:
            file.write(kubeconfig or self.kubeconfig(by, url=url))
            file.flush()
            # Its cache of the discovery belongs to this folder, not to whoever runs the tests.
            environment = {**os.environ, "HOME": str(self.folder), "KUBECONFIG": file.name}
            command = [str(KUBECTL), *map(str, words)]
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def kubeconfig(self, by: Identity | None = None, *, url: str | None = None) -> str:
        """Someone's kubeconfig for an address."""
        who = by or self.admin
        user = {"token": who.token} if who.token else {}
        if who.pair:
            user["client-certificate-data"] = _base64(who.pair.certificate)
            user["client-key-data"] = _base64(who.pair.private_key)
        return _kubeconfig(user, server=url or self.url, **{"certificate-authority-data": _base64(self.server_ca)})

    def uid(self) -> str:
        """The uid of its namespace kube-system: what tells clusters apart."""
        return str(self.ask("GET", "/api/v1/namespaces/kube-system").document["metadata"]["uid"])

    def trust(self, *more: bytes) -> None:
        """Let the API servers take client certificates of these CAs (PEM) too, and of no others but the own.

        They read the file again by themselves, a moment later.
        """
        self._write("trusted.crt", b"\n".join([self.client_ca.certificate, *more]))

    def authorize(self, configuration: str) -> None:
        """Put another AuthorizationConfiguration in place; the API servers read it again a moment later."""
        self.authorization = configuration
        self._write("authorization.yaml", configuration)

    def memory_bytes(self) -> dict[str, int]:
        """The resident memory of each of its programs."""
        programs = [self.etcd.program, *self.servers, *([self.controllers] if self.has_controllers else [])]
        return {program.name: program.memory_bytes() for program in programs}

    def _start_etcd(self, stack: contextlib.ExitStack) -> Etcd:
        etcd = Etcd(self.folder / "etcd", self.programs)
        stack.callback(etcd.stop)
        etcd.wait_until_ready()
        return etcd

    def _start(self, stack: contextlib.ExitStack, name: str, program_name: str, *words: str) -> Program:
        program = Program(name, [self.programs / program_name, *words], self.folder / f"{name}.log")
        stack.callback(program.stop)
        return program

    def _server_flags(self, port: int) -> list[str]:
        audit: dict[str, object] = {}
        if self._audit_webhook:
            audit = {
                "audit_webhook_config_file": self._write(
                    "audit.kubeconfig", _kubeconfig({}, server=self._audit_webhook)
                ),
                "audit_policy_file": self._write("audit-policy.yaml", AUDIT_POLICY),
                "audit_webhook_batch_max_wait": "1s",
            }
        return flags(
            etcd_servers=self.etcd.url,
            etcd_prefix=f"/{self.name}",
            secure_port=port,
            bind_address="127.0.0.1",
            advertise_address="127.0.0.1",
            endpoint_reconciler_type="none",
            tls_cert_file=self.folder / "server.crt",
            tls_private_key_file=self.folder / "server.key",
            client_ca_file=self.folder / "trusted.crt",
            requestheader_client_ca_file=self.folder / "front-proxy-ca.crt",
            requestheader_allowed_names=FRONT_PROXY,
            requestheader_username_headers="X-Remote-User",
            requestheader_group_headers="X-Remote-Group",
            requestheader_extra_headers_prefix="X-Remote-Extra-",
            service_account_issuer="https://kubernetes.default.svc",
            service_account_key_file=self.folder / "service-accounts.key",
            service_account_signing_key_file=self.folder / "service-accounts.key",
            service_cluster_ip_range="10.96.0.0/24",
            authorization_config=self.folder / "authorization.yaml",
            shutdown_delay_duration="0s",
            **audit,
        )

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
        own = self.issue("system:kube-controller-manager", groups=[MASTERS])
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


def _kubeconfig(user: Mapping[str, str], **cluster: str) -> str:
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
