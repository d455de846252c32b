"""What this program left in real clusters and in people's files, read by a client that is none of its making.

The client is Kubernetes' own for Python: it parses every object by the API's schema, and kubeconfigs by rules of its
own.
"""

import base64
import contextlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from kubernetes import client as kubernetes
from kubernetes.client.exceptions import ApiException
from kubernetes.config import list_kube_config_contexts, new_client_from_config, new_client_from_config_dict

from control_plane.control_plane import SIGNER_NAME, ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import ONLY_WHEN_ASKED, Keeper, keeping
from control_plane.proxy import Fault, Proxy
from control_plane.test_bootstrapping import admin_file, bootstrap, bootstrapped_no_more
from control_plane.waiting import eventually
from kubecustody.cli.control_plane import find_kubectl
from kubecustody.client import Client
from kubecustody.core.profiles import ROLE_TEMPLATES, OwnSigner, Profile, rights_of

__all__ = ["admin_file"]  # a fixture of the bootstrapping's

pytestmark = pytest.mark.control_plane

RBAC_GROUP = "rbac.authorization.k8s.io"
MANAGED_BY = {"app.kubernetes.io/managed-by": "kubecustody"}
# Kubernetes, "Labels and Selectors": what a selector can name.
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


@contextlib.contextmanager
def reading(kubeconfig: str) -> Iterator[kubernetes.ApiClient]:
    """The foreign client with a kubeconfig of this text."""
    with new_client_from_config_dict(yaml.safe_load(kubeconfig), persist_config=False) as api:
        yield api


@contextlib.contextmanager
def administrator(plane: ControlPlane) -> Iterator[kubernetes.ApiClient]:
    with reading(plane.kubeconfig()) as api:
        yield api


def kubeconfig_of(keeper: Keeper, uid: str, name: str = "prod") -> str:
    with Client(keeper.endpoint_of(uid)) as client:
        return client.describe_cluster_user_kubeconfig(keeper.clusters[name]).config


def read_namespaces(kubeconfig: str) -> int:
    """The status of the whole list of namespaces, for whoever has this kubeconfig."""
    with reading(kubeconfig) as api:
        try:
            return 200 if kubernetes.CoreV1Api(api).list_namespace(limit=1).items else 0
        except ApiException as error:
            return int(error.status)


# --- what is left in the cluster


def test_every_binding_tells_whose_it_is_and_names_users_alone(control_plane: ControlPlane, tmp_path: Path) -> None:
    with keeping(tmp_path, control_plane) as keeper, administrator(control_plane) as api:
        keeper.register()
        keeper.manage()
        anna, bert = keeper.add_person("anna"), keeper.add_person("bert")
        names = {uid: common_name(kubeconfig_of(keeper, uid)) for uid in (anna, bert)}
        keeper.grant(anna, "admin", "ops")
        keeper.grant(bert, "dev", namespace="default")
        rbac, account = kubernetes.RbacAuthorizationV1Api(api), keeper.installation.account_id
        of_account = f"kubecustody.io/account={account}"
        eventually(lambda: len(rbac.list_cluster_role_binding(label_selector=of_account).items) == 2)
        whole = rbac.list_cluster_role_binding(label_selector=of_account).items
        in_namespaces = rbac.list_role_binding_for_all_namespaces(label_selector=of_account).items
        assert {(one.metadata.name, one.role_ref.name) for one in whole} == {
            (f"{anna}-cluster-admin-clusterrolebinding", "cs:admin"),
            (f"{anna}-clusterrolebinding", "cs:ops"),
        }
        ((dev,), told) = in_namespaces, {one.metadata.name for one in whole}
        assert (dev.metadata.namespace, dev.metadata.name, dev.role_ref.name) == (
            "default",
            f"{bert}-default-rolebinding",
            "cs:ns:dev",
        )
        for one in (*whole, dev):
            uid = bert if one is dev else anna
            assert one.metadata.labels == {**MANAGED_BY, "kubecustody.io/account": account, "kubecustody.io/uid": uid}
            assert all(LABEL_VALUE.fullmatch(value) for value in one.metadata.labels.values())
            assert {by.manager for by in one.metadata.managed_fields} == {"kubecustody"}
            assert (one.role_ref.api_group, one.role_ref.kind) == (RBAC_GROUP, "ClusterRole")
            assert [(who.kind, who.api_group, who.name, who.namespace) for who in one.subjects] == [
                ("User", RBAC_GROUP, names[uid], None)
            ]
            assert one.metadata.owner_references is None and one.metadata.finalizers is None
        of_anna = rbac.list_cluster_role_binding(label_selector=f"kubecustody.io/uid={anna}").items
        assert {one.metadata.name for one in of_anna} == told
        check_mark(api, account)


def common_name(kubeconfig: str) -> str:
    """Whom another parser of certificates takes the user of a kubeconfig for."""
    pem = base64.b64decode(yaml.safe_load(kubeconfig)["users"][0]["user"]["client-certificate-data"])
    (name,) = x509.load_pem_x509_certificate(pem).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def check_mark(api: kubernetes.ApiClient, account: str) -> None:
    """The mark of the owner says nothing of who that is."""
    mark = kubernetes.CoreV1Api(api).read_namespaced_config_map("kubecustody-owner", "kube-system")
    assert mark.metadata.labels == MANAGED_BY and mark.binary_data is None and mark.immutable is None
    assert {by.manager for by in mark.metadata.managed_fields} == {"kubecustody"}
    assert set(mark.data) == {"owner"} and re.fullmatch("[0-9a-f]{64}", mark.data["owner"])
    assert account not in json.dumps(api.sanitize_for_serialization(mark))


def test_the_request_for_a_signature_asks_for_a_client_certificate_and_nothing_else(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    """The request is kept from being deleted, so that there is something to read."""
    place = proxy.add_cluster()
    place.fault = Fault.status(500, strikes=lambda method, path: method == "DELETE" and "signingrequests" in path)
    with keeping(tmp_path, control_plane) as keeper, administrator(control_plane) as api:
        keeper.register(place.url, signer=False)
        keeper.manage()
        anna = keeper.add_person("anna")
        issued = kubeconfig_of(keeper, anna)
        requests = kubernetes.CertificatesV1Api(api)
        found = requests.read_certificate_signing_request(f"kubecustody-{common_name(issued)}")
        try:
            assert found.metadata.labels == MANAGED_BY
            assert (found.spec.signer_name, found.spec.usages) == (SIGNER_NAME, ["digital signature", "client auth"])
            asked = x509.load_pem_x509_csr(base64.b64decode(found.spec.request))
            assert asked.is_signature_valid and list(asked.extensions) == []
            assert asked.subject.rfc4514_string() == f"CN={common_name(issued)},O=system:users"
            ((condition,), user) = found.status.conditions, yaml.safe_load(issued)["users"][0]["user"]
            assert (condition.type, condition.status, condition.reason) == ("Approved", "True", "Kubecustody")
            assert found.status.certificate == user["client-certificate-data"]
        finally:
            requests.delete_certificate_signing_request(found.metadata.name)


def test_the_account_of_the_server_has_the_rights_that_are_told_and_no_others(
    control_plane: ControlPlane,
    tmp_path: Path,
    admin_file: Path,
) -> None:
    """As Kubernetes itself sums them up for the account, by its own token."""
    plane = control_plane
    with keeping(tmp_path, plane, **ONLY_WHEN_ASKED) as keeper, bootstrapped_no_more(plane):
        bootstrap(keeper, admin_file)
        with administrator(plane) as api:
            core, rbac = kubernetes.CoreV1Api(api), kubernetes.RbacAuthorizationV1Api(api)
            account = core.read_namespaced_service_account("kubecustody", "kubecustody")
            assert account.metadata.labels == MANAGED_BY and account.secrets is None, "no token that never ends"
            assert core.list_namespaced_secret("kubecustody").items == []
            binding = rbac.read_cluster_role_binding("kubecustody")
            assert [(who.kind, who.namespace, who.name) for who in binding.subjects] == [
                ("ServiceAccount", "kubecustody", "kubecustody")
            ]
            role = rbac.read_cluster_role("kubecustody")
            tokens = [
                core.create_namespaced_service_account_token(name, "kubecustody", {"spec": {}}).status.token
                for name in ("kubecustody", "default")
            ]
            templates = {one.metadata.name for one in rbac.list_cluster_role().items} & {
                template.cluster_role for template in ROLE_TEMPLATES.values()
            }
        assert len(templates) == len(ROLE_TEMPLATES)
        wanted = {
            parts
            for right in rights_of(Profile.FULL, OwnSigner.CSR)
            if not right.namespace
            for parts in parts_of(right.verbs, (right.group,), right.resources, right.names)
        }
        assert {part for rule in role.rules for part in parts_of_rule(rule)} == wanted
        had, everybodys = (rights_seen(plane, Identity(token=token)) for token in tokens)
        within_default = set(parts_of(("list",), ("discovery.k8s.io",), ("endpointslices",), ()))
        assert had - everybodys == wanted | within_default


def rights_seen(plane: ControlPlane, who: Identity) -> set[tuple[str, str, str, str]]:
    """What somebody may do in the namespace default, as the API server tells them."""
    with reading(plane.kubeconfig(who)) as api:
        asked = {"spec": {"namespace": "default"}}
        status = kubernetes.AuthorizationV1Api(api).create_self_subject_rules_review(asked).status
    assert not status.incomplete
    return {part for rule in status.resource_rules for part in parts_of_rule(rule)}


def parts_of(verbs: Any, groups: Any, resources: Any, names: Any) -> Iterator[tuple[str, str, str, str]]:
    for verb in verbs:
        for group in groups or ():
            for resource in resources or ():
                for name in names or ("",):
                    yield verb, group, resource, name


def parts_of_rule(rule: Any) -> Iterator[tuple[str, str, str, str]]:
    return parts_of(rule.verbs, rule.api_groups, rule.resources, rule.resource_names)


# --- what people are given


@pytest.mark.parametrize("signer", ["csr", "ca"])
def test_a_kubeconfig_works_until_it_is_removed_and_again_once_it_is_restored(
    control_plane: ControlPlane, tmp_path: Path, signer: str
) -> None:
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(signer=signer == "ca")
        keeper.manage()
        anna = keeper.add_person("anna")
        keeper.grant(anna, "admin")
        kubeconfig = kubeconfig_of(keeper, anna)
        pem = base64.b64decode(yaml.safe_load(kubeconfig)["users"][0]["user"]["client-certificate-data"])
        eventually(lambda: read_namespaces(kubeconfig) == 200)
        with reading(kubeconfig) as api:
            seen = kubernetes.AuthenticationV1Api(api).create_self_subject_review({}).status.user_info
        assert (seen.username, set(seen.groups)) == (
            common_name(kubeconfig),
            {"system:users", "system:authenticated"},
        )
        keeper.clean(anna)
        eventually(lambda: keeper.state(anna).cert_state == "Removed")
        with reading(kubeconfig) as api, pytest.raises(ApiException) as refused:
            kubernetes.CoreV1Api(api).list_namespace()
        assert refused.value.status == 403
        assert f'User "{seen.username}" cannot list' in json.loads(refused.value.body)["message"]
        fingerprint = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
        keeper.client.restore_credential(keeper.cluster_id, fingerprint, "by mistake")
        eventually(lambda: read_namespaces(kubeconfig) == 200)


def test_two_kubeconfigs_that_kubectl_merged_are_read_by_both(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.manage()
        twin = proxy.add_cluster()
        keeper.register(twin.url, "twin")
        keeper.manage("twin")
        anna = keeper.add_person("anna")
        keeper.grant(anna, "admin")
        eventually(lambda: keeper.look() == {})
        files = []
        for name in ("prod", "twin"):
            files.append(tmp_path / f"{name}.kubeconfig")
            files[-1].write_text(kubeconfig_of(keeper, anna, name))
        merged = tmp_path / "merged.kubeconfig"
        merged.write_text(kubectl(("config", "view", "--flatten"), *files))
        contexts, current = list_kube_config_contexts(str(merged))
        assert len(contexts) == 2 and current["name"] == contexts_in(files[0])[0]
        assert {one["name"] for one in contexts} == {name for file in files for name in contexts_in(file)}
        for file in files:
            (context,) = contexts_in(file)
            with new_client_from_config(str(merged), context, persist_config=False) as api:
                seen = kubernetes.AuthenticationV1Api(api).create_self_subject_review({}).status.user_info
            assert seen.username == common_name(file.read_text()), "each context has its own user"
            told = kubectl(
                ("--context", context, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"), merged
            )
            assert told == seen.username
        assert read_namespaces(merged.read_text()) == 200


def contexts_in(file: Path) -> list[str]:
    return [one["name"] for one in yaml.safe_load(file.read_text())["contexts"]]


def kubectl(words: tuple[str, ...], *files: Path) -> str:
    """What kubectl prints with KUBECONFIG set to these files."""
    environment = {**os.environ, "HOME": str(files[0].parent), "KUBECONFIG": ":".join(map(str, files))}
    command = [find_kubectl() or "kubectl", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout
