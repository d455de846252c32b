"""The demo's control plane, as tests need it: two API servers, other authorities and authorizers, audit events.

with ControlPlane(folder, find_programs(), make_ca("people", now, 1)) as plane:
    person = plane.issue("2111-1")             # by the client CA, whose key the test holds
    plane.ask("GET", "/version", person)       # Answer(status, document)
    plane.kubectl("auth", "whoami", by=person)  # standard output
"""

import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from control_plane.identities import client_context
from kubecustody.cli import control_plane as product
from kubecustody.cli.control_plane import Answer, Identity, ProgramsMissing, format_kubeconfig
from kubecustody.core.profiles import role_templates
from kubecustody.pki.certificates import format_certificates
from kubecustody.pki.client_certificates import issue_client_certificate, load_signer
from kubecustody.pki.issuing import DAY_SECONDS, PemPair, make_ca, make_client_certificate

__all__ = ["DAY_SECONDS", "MASTERS", "REPOSITORY", "ControlPlane", "ProgramsMissing", "find_programs"]

REPOSITORY = Path(__file__).parents[2]
MASTERS = product.MASTERS
FRONT_PROXY = "front-proxy"
# More addresses of the API servers' certificate, for what stands before them and leaves TLS alone.
PASS_THROUGH_ADDRESSES = [f"127.0.1.{number}" for number in range(1, 9)]
SIGNER_NAME = "kubernetes.io/kube-apiserver-client"

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


def find_programs() -> Path:
    """The folder with kube-apiserver and etcd of the pinned version. Raises ProgramsMissing: nothing is built here."""
    done = subprocess.run([REPOSITORY / "scripts/control-plane", "--find"], capture_output=True, text=True)
    if done.returncode != 0:
        raise ProgramsMissing(done.stderr.strip())
    return Path(done.stdout.strip())


class ControlPlane(product.ControlPlane):
    """A cluster's control plane, ready within the block, with the predefined roles as an administrator makes them.

    `authorization` is an AuthorizationConfiguration, `audit_webhook` a URL that gets audit events about a second late.
    """

    def __init__(
        self,
        folder: Path,
        programs: Path,
        client_ca: PemPair,
        *,
        servers: int = 2,
        etcd: product.Etcd | None = None,
        name: str = "main",
        audit_webhook: str | None = None,
        authorization: str = NODE_AND_RBAC,
    ) -> None:
        hosts = ["localhost", "127.0.0.1", *PASS_THROUGH_ADDRESSES]
        super().__init__(folder, programs, client_ca, servers=servers, hosts=hosts, etcd=etcd, name=name)
        self._audit_webhook = audit_webhook
        now = int(time.time())
        front_ca = make_ca("front proxy CA", now, 1)
        self.front_proxy = make_client_certificate(front_ca, FRONT_PROXY, (), now, now + DAY_SECONDS)
        self._write("front-proxy-ca.crt", front_ca.certificate)
        self.trust()
        self.authorize(authorization)

    def __enter__(self) -> Self:
        super().__enter__()
        for manifest in role_templates():
            answer = self.ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", body=manifest.document)
            assert answer.status == 201, answer.document
        return self

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

    def _context(self, who: Identity) -> ssl.SSLContext:
        return client_context(self.server_ca, who.pair)

    def _server_options(self, port: int) -> dict[str, Any]:
        options = super()._server_options(port)
        del options["authorization_mode"]
        return {
            **options,
            "client_ca_file": self.folder / "trusted.crt",
            "requestheader_client_ca_file": self.folder / "front-proxy-ca.crt",
            "requestheader_allowed_names": FRONT_PROXY,
            "requestheader_username_headers": "X-Remote-User",
            "requestheader_group_headers": "X-Remote-Group",
            "requestheader_extra_headers_prefix": "X-Remote-Extra-",
            "authorization_config": self.folder / "authorization.yaml",
            **self._audit_options(),
        }

    def _audit_options(self) -> dict[str, Any]:
        if not self._audit_webhook:
            return {}
        kubeconfig = format_kubeconfig({}, server=self._audit_webhook)
        return {
            "audit_webhook_config_file": self._write("audit.kubeconfig", kubeconfig),
            "audit_policy_file": self._write("audit-policy.yaml", AUDIT_POLICY),
            "audit_webhook_batch_max_wait": "1s",
        }
