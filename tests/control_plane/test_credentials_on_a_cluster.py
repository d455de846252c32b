"""What a real cluster makes of the certificates that are issued here, and of their end."""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from control_plane.control_plane import SIGNER_NAME, ControlPlane
from control_plane.identities import NOBODY, Identity
from control_plane.waiting import eventually
from installations import PROGRAM, make_installation, serving
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import add_access_key, add_principal
from kubecustody.custody.signers import import_signer
from kubecustody.pki.certificates import load_certificates
from kubecustody.pki.issuing import PemPair, make_ca, make_client_certificate

pytestmark = pytest.mark.control_plane

BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
PODS = "/api/v1/namespaces/default/pods"


def test_every_api_server_sees_the_holder_and_the_credential(control_plane: ControlPlane) -> None:
    person = control_plane.issue("2111-1795500000")
    for url in control_plane.urls:
        shown = json.loads(control_plane.kubectl("auth", "whoami", "-o", "json", by=person, url=url))
        user = shown["status"]["userInfo"]
        assert user["username"] == "2111-1795500000"
        assert user["groups"] == ["system:users", "system:authenticated"]
        assert user["extra"][CREDENTIAL_ID] == [f"X509SHA256={person.fingerprint}"]


def test_whom_no_api_server_takes(control_plane: ControlPlane) -> None:
    now = int(time.time())
    foreign = make_client_certificate(make_ca("client CA of the tests", now, 1), "2111", (), now, now + 60)
    for refused in (
        control_plane.issue("2111-1", begins=-120, ends=-60),
        control_plane.issue("2111-2", begins=60, ends=120),
        Identity(foreign),
        Identity(token="wrong"),
    ):
        answer = control_plane.whoami(refused)
        assert (answer.status, answer.document["reason"]) == (401, "Unauthorized")
    assert control_plane.whoami(NOBODY).status == 403


def test_a_certificate_ends_at_its_second(control_plane: ControlPlane) -> None:
    short = control_plane.issue("2111-3", ends=3)
    assert control_plane.whoami(short).status == 201
    eventually(lambda: control_plane.whoami(short).status == 401, seconds=6)


def test_a_certificate_counts_before_a_token(control_plane: ControlPlane) -> None:
    person = control_plane.issue("2111-4")
    answer = control_plane.whoami(Identity(person.pair, token="wrong"))
    assert (answer.status, answer.document["username"]) == (201, "2111-4")


def binding(name: str, *users: str) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": user} for user in users],
    }


@pytest.fixture
def bound(control_plane: ControlPlane) -> Iterator[tuple[Identity, Identity]]:
    """Two certificates of one person, both bound to the role view."""
    people = control_plane.issue("2112-1"), control_plane.issue("2112-2")
    answer = control_plane.ask("POST", BINDINGS, body=binding("kubecustody-2112", "2112-1", "2112-2"))
    assert answer.status == 201
    yield people
    control_plane.ask("DELETE", f"{BINDINGS}/kubecustody-2112")


def statuses(plane: ControlPlane, people: Sequence[Identity]) -> list[int]:
    return [plane.ask("GET", PODS, person, url=url).status for url in plane.urls for person in people]


def test_an_unbound_credential_is_powerless_and_its_sister_lives(
    control_plane: ControlPlane, bound: tuple[Identity, Identity]
) -> None:
    eventually(lambda: statuses(control_plane, bound) == [200] * 4)
    answer = control_plane.ask("PUT", f"{BINDINGS}/kubecustody-2112", body=binding("kubecustody-2112", "2112-2"))
    assert answer.status == 200
    eventually(lambda: statuses(control_plane, bound) == [403, 200] * 2)
    assert control_plane.whoami(bound[0]).status == 201, "what every authenticated user may do remains"


def make_request(common_name: str) -> PemPair:
    """A certificate signing request with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:users"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return PemPair(made.public_bytes(encoding), key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))


def test_the_cluster_signs_what_is_approved_for_as_long_as_asked(control_plane: ControlPlane) -> None:
    if not control_plane.has_controllers:
        pytest.skip("NO CONTROLLERS: this control plane has no kube-controller-manager")
    request = make_request("2113-1")
    spec = {
        "request": base64.b64encode(request.certificate).decode(),
        "signerName": SIGNER_NAME,
        "expirationSeconds": 660,
        "usages": ["digital signature", "client auth"],
    }
    answer = control_plane.ask("POST", REQUESTS, body={"metadata": {"name": "kubecustody-2113"}, "spec": spec})
    assert answer.status == 201
    control_plane.kubectl("certificate", "approve", "kubecustody-2113")
    path = f"{REQUESTS}/kubecustody-2113"
    signed = eventually(lambda: control_plane.ask("GET", path).document["status"].get("certificate"))
    pem = base64.b64decode(signed)
    (certificate,) = load_certificates(pem)
    assert abs(certificate.not_after - time.time() - 660) < 30
    user = control_plane.whoami(Identity(PemPair(pem, request.private_key))).document
    assert (user["username"], user["groups"]) == ("2113-1", ["system:users", "system:authenticated"])


def deny(fingerprint: str, nowhere: Path) -> dict[str, Any]:
    """An authorizer for the holder of this certificate alone, which nobody can reach: so it refuses."""
    condition = (
        f"has(request.extra) && '{CREDENTIAL_ID}' in request.extra && "
        f"request.extra['{CREDENTIAL_ID}'].exists(c, c in ['X509SHA256={fingerprint}'])"
    )
    webhook = {
        "timeout": "1s",
        "subjectAccessReviewVersion": "v1",
        "matchConditionSubjectAccessReviewVersion": "v1",
        "authorizedTTL": "1s",
        "unauthorizedTTL": "1s",
        "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": str(nowhere)},
        "matchConditions": [{"expression": condition}],
    }
    return {"type": "Webhook", "name": "denied", "webhook": webhook}


def test_the_authorizers_are_changed_while_the_servers_run(control_plane: ControlPlane, tmp_path: Path) -> None:
    denied, other = control_plane.issue("2114-1"), control_plane.issue("2114-1")
    nowhere = tmp_path / "nowhere.kubeconfig"
    nowhere.write_text(control_plane.kubeconfig(NOBODY, url="https://127.0.0.1:1"))
    before = control_plane.authorization
    configuration = yaml.safe_load(before)
    configuration["authorizers"].insert(0, deny(denied.fingerprint, nowhere))

    def statuses_of(person: Identity) -> list[int]:
        return [control_plane.whoami(person, url=url).status for url in control_plane.urls]

    try:
        control_plane.authorize(yaml.safe_dump(configuration))
        eventually(lambda: statuses_of(denied) == [500, 500])
        assert statuses_of(other) == [201, 201]
    finally:
        control_plane.authorize(before)
    eventually(lambda: statuses_of(denied) == [201, 201])


def test_a_kubeconfig_of_the_servers_making_works_in_kubectl(control_plane: ControlPlane, tmp_path: Path) -> None:
    installation = make_installation(tmp_path)
    cluster = ClusterFields(
        name="real",
        client_ca=control_plane.client_ca.certificate,
        server_ca=control_plane.server_ca,
        public_endpoint=control_plane.urls[1],
    )
    cluster_id = installation.change(add_cluster, cluster)
    installation.change(import_signer, "real", control_plane.client_ca)
    uid = installation.change(add_principal, kind=PrincipalKind.USER, name="anna")
    installation.change(set_attachment, "AliyunCSFullAccess", attached=True, user="anna")
    key = installation.change(add_access_key, "anna")
    with serving(installation) as server:
        environment = {
            **os.environ,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret,
            "KUBECUSTODY_ENDPOINT": server.url,
        }
        command = [*PROGRAM, "call", "DescribeClusterUserKubeconfig", f"ClusterId={cluster_id}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    kubeconfig = json.loads(done.stdout)["config"]

    shown = control_plane.run_kubectl("auth", "whoami", "-o", "json", kubeconfig=kubeconfig)
    assert shown.returncode == 0, shown.stderr
    user = json.loads(shown.stdout)["status"]["userInfo"]
    assert user["username"].startswith(f"{uid}-")
    forbidden = control_plane.run_kubectl("get", "pods", kubeconfig=kubeconfig)
    assert (forbidden.returncode, "Forbidden" in forbidden.stderr) == (1, True)
    control_plane.kubectl("create", "clusterrolebinding", "anna", "--clusterrole=view", f"--user={user['username']}")
    eventually(lambda: control_plane.run_kubectl("get", "pods", kubeconfig=kubeconfig).returncode == 0)
    control_plane.kubectl("delete", "clusterrolebinding", "anna")
