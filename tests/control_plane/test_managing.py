"""Real clusters kept as they are wanted, and the proof that what was removed is powerless there."""

import contextlib
import itertools
import json
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from control_plane.control_plane import MASTERS, ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import (
    BINDINGS,
    KUBE_SYSTEM,
    RBAC,
    SETTINGS,
    Keeper,
    Naming,
    Object,
    add_naming,
    bound_by_others,
    keeping,
    name_of,
    path_of,
    role_binding,
    statuses,
)
from control_plane.proxy import Fault, Proxy
from control_plane.waiting import eventually
from custody.books import ask as rows_of
from custody.reissued import reissue
from installations import AUTHOR, free_port, serving
from kubecustody.catalogue.rehearsing import Rehearsal
from kubecustody.client import ApiError, Client, Endpoint
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.installation import Custody
from kubecustody.pki.issuing import PemPair, make_ca

pytestmark = pytest.mark.control_plane

TOLD_CLIENT_CA = f"{KUBE_SYSTEM}/configmaps/extension-apiserver-authentication"


@pytest.fixture
def keeper(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    """The plane itself as the cluster `prod`, managed."""
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.manage()
        yield keeper


@pytest.fixture
def naming(proxy: Proxy) -> Naming:
    """The plane, which names its API servers."""
    return add_naming(proxy, *proxy.plane.urls)


@pytest.fixture
def named(control_plane: ControlPlane, naming: Naming, tmp_path: Path) -> Iterator[Keeper]:
    """The same as the cluster `prod`, managed."""
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(naming.url)
        keeper.manage()
        yield keeper


def objects(plane: ControlPlane) -> dict[str, str]:
    """Every object that a manager of bindings could touch, with its version, by its path."""
    paths = [
        *(f"{RBAC}/{kind}" for kind in ("clusterroles", "clusterrolebindings", "roles", "rolebindings")),
        "/api/v1/configmaps",
        "/api/v1/namespaces",
        "/api/v1/serviceaccounts",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests",
    ]
    return {
        f"{path} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}": one["metadata"]["resourceVersion"]
        for path in paths
        for one in plane.ask("GET", path).document["items"]
    }


def admitted(keeper: Keeper, name: str = "anna", *roles: str) -> tuple[str, Identity]:
    """A new person and their credential, which every API server lets do what an admin may."""
    uid = keeper.add_person(name)
    credential = keeper.get(uid)
    keeper.grant(uid, *(roles or ("admin",)))
    eventually(lambda: set(statuses(keeper.plane, credential)) == {200})
    return uid, credential


# --- beginning


def test_a_plan_that_is_not_the_plan_any_more_is_not_carried_out(control_plane: ControlPlane, tmp_path: Path) -> None:
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.manage()
        anna, bert = keeper.add_person("anna"), keeper.add_person("bert")
        keeper.get(anna), keeper.get(bert)
        keeper.client.manage_cluster(keeper.cluster_id, mode="observe")
        keeper.grant(anna, "admin")
        before = keeper.client.manage_cluster(keeper.cluster_id)
        assert [step.what for step in before.steps] == ["create"]
        keeper.grant(bert, "ops")
        with pytest.raises(ApiError) as refused:
            keeper.client.manage_cluster(keeper.cluster_id, plan_hash=before.plan_hash)
        assert refused.value.code == "ErrorPlanChanged"
        after = keeper.client.manage_cluster(keeper.cluster_id)
        assert (after.mode, len(after.steps), keeper.ours()) == ("observe", 2, {})
        assert keeper.client.manage_cluster(keeper.cluster_id, plan_hash=after.plan_hash).mode == "manage"
        assert len(keeper.ours()) == 2


def test_the_commands_tell_plans_and_looks_in_every_form(control_plane: ControlPlane, tmp_path: Path) -> None:
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.manage()
        anna = keeper.add_person("anna")
        keeper.get(anna)
        assert keeper.clusters_command("observe", "prod")[:2] == (0, "prod is only observed.\n")
        keeper.grant(anna, "admin")
        plan = json.loads(keeper.clusters_command("plan", "prod", "-o", "json")[1])
        assert plan["mode"] == "observe" and plan["steps"][0]["what"] == "create"
        lines = keeper.clusters_command("plan", "prod", "-o", "ndjson")[1].splitlines()
        assert [json.loads(line) for line in lines] == plan["steps"]
        code, out, _ = keeper.clusters_command("manage", "prod", "--plan", plan["plan_hash"], "-o", "json")
        assert (code, json.loads(out)["mode"]) == (0, "manage")
        code, out, _ = keeper.clusters_command("test", "prod", "-o", "json")
        found = json.loads(out)
        assert code == 0 and {row["cluster_id"] for row in found} == {keeper.cluster_id}
        assert {row["ok"] for row in found} == {True} and "version" in {row["what"] for row in found}


def test_an_observed_cluster_is_never_written_to(control_plane: ControlPlane, proxy: Proxy, tmp_path: Path) -> None:
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        anna = keeper.add_person("anna")
        keeper.get(anna)
        keeper.client.manage_cluster(keeper.cluster_id, mode="observe")
        before = objects(control_plane)
        cluster.requests.clear()
        keeper.grant(anna, "admin", "ops")
        keeper.client.manage_cluster(keeper.cluster_id)
        keeper.look()
        keeper.clean(anna)
        keeper.look()
        assert objects(control_plane) == before
    writes = [(seen.method, seen.path) for seen in cluster.requests if seen.method != "GET"]
    assert writes and all(path.partition("?")[0].endswith("accessreviews") for _, path in writes)


def test_a_cluster_that_is_only_observed_again_is_left_as_it_is(keeper: Keeper) -> None:
    anna, _ = admitted(keeper)
    keeper.client.manage_cluster(keeper.cluster_id, mode="observe")
    before = keeper.ours()
    keeper.grant(anna)
    keeper.look()
    assert keeper.ours() == before != {}


# --- permitting


def test_what_is_granted_kubectl_may_do_and_no_more(keeper: Keeper) -> None:
    plane = keeper.plane
    anna, annas = admitted(keeper, "anna", "ops")
    bert = keeper.add_person("bert")
    berts = keeper.get(bert)
    keeper.grant(bert, "dev", namespace="default")
    eventually(lambda: plane.run_kubectl("auth", "can-i", "create", "pods", "-n", "default", by=berts).returncode == 0)
    for who, words, may in (
        (annas, ["delete", "deployments", "-A"], True),
        (annas, ["create", "clusterrolebindings"], False),
        (berts, ["create", "pods", "-n", "kube-system"], False),
        (berts, ["list", "nodes"], False),
    ):
        answer = plane.run_kubectl("auth", "can-i", *words, by=who)
        assert (answer.stdout.strip(), answer.returncode) == (("yes", 0) if may else ("no", 1)), words
    assert keeper.subjects() == {
        f"{anna}-clusterrolebinding": [name_of(annas)],
        f"{bert}-default-rolebinding": [name_of(berts)],
    }
    keeper.grant(anna)
    eventually(lambda: set(statuses(plane, annas)) == {403})
    assert keeper.removed_by(annas) is None, "what is permitted is one thing, and a credential another"


def test_one_step_that_is_refused_keeps_nobody_else_waiting(control_plane: ControlPlane, tmp_path: Path) -> None:
    """The server may grant what it may itself do, and so no custom role that gives more."""
    plane = control_plane
    with limited_access(plane) as limited, keeping(tmp_path, plane) as keeper:
        keeper.register(by=limited)
        keeper.manage()
        anna, annas = admitted(keeper, "anna", "restricted")
        bert = keeper.add_person("bert")
        keeper.get(bert)
        keeper.grant(bert, "cluster-admin", custom=True)
        assert "403" in keeper.look()["manage"]
        keeper.clean(anna)
        eventually(lambda: keeper.removed_by(annas) == "proved")
        assert keeper.subjects() == {}


@contextlib.contextmanager
def limited_access(plane: ControlPlane) -> Iterator[Identity]:
    """A ServiceAccount that may keep bindings, but grant no more than reading."""
    role = {
        "metadata": {"name": "limited-keeper"},
        "rules": [
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]},
            {
                "apiGroups": ["rbac.authorization.k8s.io"],
                "resources": ["clusterrolebindings", "rolebindings", "clusterroles"],
                "verbs": ["create", "patch", "delete"],
            },
            {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create"]},
            {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
        ],
    }
    with service_account(plane, role) as identity:
        yield identity


@contextlib.contextmanager
def service_account(plane: ControlPlane, role: Object) -> Iterator[Identity]:
    """A ServiceAccount of this ClusterRole in the whole cluster, both of names of their own, gone after the block."""
    accounts, name = "/api/v1/namespaces/default/serviceaccounts", f"{role['metadata']['name']}-{secrets.token_hex(4)}"
    made = plane.ask("POST", f"{RBAC}/clusterroles", body={**role, "metadata": {"name": name}})
    assert made.status == 201, made.document
    try:
        made = plane.ask("POST", accounts, body={"metadata": {"name": name}})
        assert made.status == 201, made.document
        with bound_by_others(plane, role_binding(name, f"system:serviceaccount:default:{name}", role=name)):
            request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
            answer = plane.ask("POST", f"{accounts}/{name}/token", body=request)
            identity = Identity(token=answer.document["status"]["token"])
            for url in plane.urls:
                eventually(lambda url=url: plane.ask("GET", KUBE_SYSTEM, identity, url=url).status == 200)
            yield identity
    finally:
        plane.ask("DELETE", f"{accounts}/{name}")
        plane.ask("DELETE", f"{RBAC}/clusterroles/{name}")


# --- removing, and the proof


def test_of_two_credentials_of_one_person_one_is_removed(keeper: Keeper) -> None:
    anna, lasting = admitted(keeper)
    short = keeper.get(anna, minutes=60)
    eventually(lambda: statuses(keeper.plane, short, lasting) == [200] * 4)
    assert keeper.revoke(short) == "proof"
    keeper.look()
    eventually(lambda: statuses(keeper.plane, short, lasting) == [403, 403, 200, 200])
    keeper.look()
    assert (keeper.removed_by(short), keeper.removed_by(lasting)) == ("proved", None)
    assert keeper.subjects() == {f"{anna}-cluster-admin-clusterrolebinding": [name_of(lasting)]}
    assert keeper.state(anna).cert_state == "Unexpired"


def test_whoever_is_cleaned_is_refused_everywhere_and_removed_with_proof(named: Keeper) -> None:
    keeper = named
    anna, lasting = admitted(keeper)
    short = keeper.get(anna, minutes=60)
    eventually(lambda: statuses(keeper.plane, short, lasting) == [200] * 4)
    told = keeper.client.clean_cluster_user_permissions(
        keeper.cluster_id, anna, force=True, dry_run=True, allow_last_admin=True
    ).rehearsal
    assert isinstance(told, Rehearsal) and [one.prospect for one in told.credentials] == ["proof"] * 2
    assert statuses(keeper.plane, short, lasting) == [200] * 4
    changes = len(keeper.events("bindings_changed"))
    keeper.clean(anna)
    eventually(lambda: keeper.removed_by(lasting) == keeper.removed_by(short) == "proved")
    assert statuses(keeper.plane, short, lasting) == [403] * 4
    assert keeper.ours() == {}
    row = keeper.state(anna)
    assert (row.cert_state, row.can_get_in, row.live_credential_count) == ("Removed", "no", 0)
    assert row.cert_state_reason.startswith("Removed, and proved so at ")
    servers = {url.removeprefix("https://") for url in keeper.plane.urls}
    for credential in (lasting, short):
        ((kind, evidence),) = keeper.steps_of(credential)
        assert kind == "proved"
        assert {one["api_server"] for one in evidence if one["kind"] == "used"} >= servers
        assert {one["told"] for one in evidence if one["api_server"] in servers} == {"Used, and refused by name (403)."}
        assert {"binding_scan", "access_review"} <= {one["kind"] for one in evidence}
    assert [uid for _, uid, _ in keeper.events("removal_proved")] == [anna, anna]
    assert [details["steps"] for _, _, details in keeper.events("bindings_changed")[changes:]] == [1]


def test_the_key_of_whoever_is_proved_gone_is_in_no_file_any_more(keeper: Keeper) -> None:
    uid, credential = admitted(keeper)
    ((sealed,),) = rows_of(keeper.path, "SELECT sealed FROM private_keys WHERE sealed IS NOT NULL")
    files = [keeper.path, keeper.path.with_name(keeper.path.name + "-wal")]
    assert any(sealed in file.read_bytes() for file in files if file.exists())
    keeper.clean(uid)
    eventually(lambda: keeper.removed_by(credential) == "proved")
    eventually(lambda: not any(sealed in file.read_bytes() for file in files if file.exists()))
    ((left, destroyed_at),) = rows_of(keeper.path, "SELECT sealed, destroyed_at FROM private_keys")
    assert left is None and destroyed_at is not None
    assert keeper.events("private_key_destroyed")
    keeper.look()
    assert keeper.removed_by(credential) == "proved"


def test_who_was_cleaned_gets_a_credential_anew_and_no_rights(keeper: Keeper) -> None:
    anna, old = admitted(keeper)
    keeper.clean(anna)
    eventually(lambda: keeper.removed_by(old) == "proved")
    new = keeper.get(anna)
    keeper.look()
    assert statuses(keeper.plane, new) == [403, 403]
    keeper.grant(anna, "admin")
    eventually(lambda: statuses(keeper.plane, new, old) == [200, 200, 403, 403])


def test_whoever_a_task_cleans_is_removed_with_proof(keeper: Keeper) -> None:
    """The managed cluster's turn comes last, when what the call itself woke is long over."""
    anna, credential = admitted(keeper)

    async def add_more(custody: Custody) -> list[str]:
        account = keeper.installation.account_id
        return [
            await add_cluster(custody, account, AUTHOR, time.time(), ClusterFields(name=f"recorded-{number}"))
            for number in range(90)
        ]

    more: list[str] = keeper.installation.run(add_more)
    keeper.client.clean_user_permissions(
        anna, force=True, cluster_ids=[*more, keeper.cluster_id], allow_last_admin=True
    )
    eventually(lambda: keeper.removed_by(credential) == "proved")


def test_removed_is_taken_back_when_a_binding_returns(keeper: Keeper) -> None:
    anna, credential = admitted(keeper)
    keeper.clean(anna)
    eventually(lambda: keeper.removed_by(credential) == "proved")
    with bound_by_others(keeper.plane, role_binding("somebody-elses", name_of(credential)), by="argocd-controller"):
        keeper.look()
        assert keeper.removed_by(credential) is None
        kind, evidence = keeper.steps_of(credential)[-1]
        told = {one["kind"]: one["told"] for one in evidence}
        reached_by = "somebody-elses (written by argocd-controller)"
        assert (kind, told["binding_scan"]) == ("lapsed", f"It is reached by {reached_by}.")
        (event,) = keeper.events("removal_lapsed")
        assert event[1] == anna and reached_by in json.dumps(event[2])
        assert (keeper.state(anna).cert_state, keeper.state(anna).can_get_in) == ("Unexpired", "unproven")
        keeper.look()
        assert len(keeper.events("removal_lapsed")) == 1
    keeper.look()
    assert keeper.removed_by(credential) == "proved"
    assert [kind for kind, _ in keeper.steps_of(credential)] == ["proved", "lapsed", "proved"]


def test_a_subject_that_comes_back_into_a_binding_of_ours_goes_again(keeper: Keeper) -> None:
    """Of two bindings, so that the second one is the brake's 20 per cent: a recorded removal passes it."""
    anna, annas = admitted(keeper, "anna")
    bert, berts = admitted(keeper, "bert")
    keeper.clean(anna)
    eventually(lambda: keeper.removed_by(annas) == "proved")
    add_subjects(keeper, f"{bert}-cluster-admin-clusterrolebinding", name_of(annas))
    eventually(lambda: set(statuses(keeper.plane, annas)) == {200})
    keeper.look()
    eventually(lambda: statuses(keeper.plane, annas, berts) == [403, 403, 200, 200])
    keeper.look()
    assert keeper.removed_by(annas) == "proved"


def add_subjects(keeper: Keeper, binding: str, *names: str) -> None:
    document = keeper.ours()[binding]
    subjects = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name} for name in names]
    body = {**document, "subjects": [*document.get("subjects", ()), *subjects]}
    assert keeper.plane.ask("PUT", path_of(document), body=body).status == 200


def test_bindings_of_others_are_left_alone(keeper: Keeper) -> None:
    """Even one of the very name that is wanted, and one that says it is another account's."""
    plane = keeper.plane
    anna = keeper.add_person("anna")
    credential = keeper.get(anna)
    wanted = f"{anna}-cluster-admin-clusterrolebinding"
    foreign = {"app.kubernetes.io/managed-by": "kubecustody", "kubecustody.io/account": "1"}
    with (
        bound_by_others(plane, role_binding(wanted, "somebody")) as namesake,
        bound_by_others(plane, role_binding("another-accounts", name_of(credential), labels=foreign)) as theirs,
    ):
        keeper.grant(anna, "admin")
        assert keeper.look()["manage"] == f"{wanted} is wanted, and one of that name is not ours; it is left alone."
        assert keeper.client.manage_cluster(keeper.cluster_id).warnings == [
            f"{wanted} is wanted, and one of that name is not ours."
        ]
        keeper.clean(anna)
        keeper.look()
        for binding in (namesake, theirs):
            assert plane.ask("GET", path_of(binding)).document == binding
        assert keeper.removed_by(credential) is None, "the other account's binding still reaches it"
        assert keeper.evidence(credential)["binding_scan", ""] == "allowed"
    keeper.look()
    assert keeper.removed_by(credential) == "proved"


def test_a_member_of_masters_is_never_removed_by_unbinding(keeper: Keeper, tmp_path: Path) -> None:
    anna = keeper.add_person("anna")
    member = keeper.plane.issue(f"{anna}-1", groups=[MASTERS])
    file = tmp_path / "member.kubeconfig"
    file.write_text(keeper.plane.kubeconfig(member))
    keeper.installation.command(
        "admin", "credentials", "import", str(file), "--cluster", keeper.cluster_id, "--keep-private-keys"
    )
    keeper.clean(anna)
    keeper.look()
    assert keeper.removed_by(member) is None
    assert keeper.evidence(member)["used", ""] == "allowed"
    assert keeper.state(anna).can_get_in == "yes"
    assert set(statuses(keeper.plane, member)) == {200}


def test_the_end_of_a_ca_is_proof_and_stays_so(control_plane: ControlPlane, naming: Naming, tmp_path: Path) -> None:
    """Each API server must say 401. What then still binds the name reaches nobody."""
    plane, other = control_plane, make_ca("another client CA", int(time.time()), 30)
    with keeping(tmp_path, plane) as keeper, trusting(plane, other) as distrust:
        keeper.register(naming.url, signer=False)
        keeper.let_issue(other)
        keeper.manage()
        anna, credential = admitted(keeper)
        with bound_by_others(plane, role_binding("somebody-elses", name_of(credential))):
            keeper.clean(anna)
            keeper.look()
            assert keeper.removed_by(credential) is None
            assert keeper.evidence(credential)["ca_gone", ""] == "unproven"
            distrust()
            forget_client_ca(plane)
            eventually(lambda: set(statuses(plane, credential)) == {401})

            def is_proved() -> bool:
                keeper.look()
                return keeper.removed_by(credential) == "proved"

            eventually(is_proved)
            for _ in range(2):
                keeper.look()
                assert keeper.removed_by(credential) == "proved"
            assert [kind for kind, _ in keeper.steps_of(credential)] == ["proved"]


@contextlib.contextmanager
def trusting(plane: ControlPlane, other: PemPair) -> Iterator[Callable[[], None]]:
    """The API servers take this CA's certificates too, until what is given is called."""
    pem = other.certificate.decode().strip()
    plane.trust(other.certificate)
    try:
        eventually(lambda: pem in told_client_ca(plane))
        yield plane.trust
    finally:
        plane.trust()
        forget_client_ca(plane)
        eventually(lambda: pem not in told_client_ca(plane))


def told_client_ca(plane: ControlPlane) -> str:
    document = plane.ask("GET", TOLD_CLIENT_CA).document
    return str(document.get("data", {}).get("client-ca-file", ""))


def forget_client_ca(plane: ControlPlane) -> None:
    """API servers only add to what they tell of their client CAs; they write it anew where it is not there."""
    assert plane.ask("DELETE", TOLD_CLIENT_CA).status == 200
    eventually(lambda: told_client_ca(plane), seconds=90)


# --- no proof


def test_an_api_server_that_is_down_keeps_the_proof_away(named: Keeper, naming: Naming) -> None:
    keeper, plane, dead = named, named.plane, f"https://127.0.0.1:{free_port()}"
    naming.name(plane.urls[0], dead)
    anna, credential = admitted(keeper)
    keeper.clean(anna)
    eventually(lambda: statuses(plane, credential) == [403, 403])
    keeper.look()
    assert keeper.removed_by(credential) is None
    assert uses(keeper, credential) == {plane.urls[0]: "refused", dead: "unproven"}
    assert keeper.state(anna).cert_state == "Unexpired"
    naming.name(*plane.urls)
    keeper.look()
    assert keeper.removed_by(credential) == "proved"


def uses(keeper: Keeper, credential: Identity) -> dict[str, str]:
    """What the use of a credential came to, by API server."""
    return {f"https://{server}": one for (kind, server), one in keeper.evidence(credential).items() if kind == "used"}


def test_an_api_server_that_is_declared_and_not_named_keeps_the_proof_away(
    control_plane: ControlPlane, naming: Naming, tmp_path: Path
) -> None:
    plane = control_plane
    naming.name(plane.url)
    with keeping(tmp_path, plane) as keeper:
        report = keeper.register(naming.url, declared_api_servers=2)
        assert [one.text for one in report.findings if not one.ok] == ["It names 1 API servers, and 2 are declared."]
        keeper.manage()
        anna, credential = admitted(keeper)
        keeper.clean(anna)
        eventually(lambda: statuses(plane, credential) == [403, 403])
        keeper.look()
        assert keeper.removed_by(credential) is None


@pytest.mark.parametrize("code", [401, 403, 500])
def test_a_stand_in_that_refuses_whatever_comes_proves_nothing(
    named: Keeper, naming: Naming, proxy: Proxy, code: int
) -> None:
    """It lets this server's own requests through, and refuses those of the credential, but not by its name."""
    turns = itertools.count()
    stand_in = proxy.add_cluster("127.0.0.1", uid=named.plane.uid())
    stand_in.fault = Fault.status(code, strikes=lambda _, path: path == KUBE_SYSTEM and next(turns) % 3 == 1)
    naming.name(stand_in.url)
    anna, credential = admitted(named)
    named.clean(anna)
    eventually(lambda: uses(named, credential) == {stand_in.url: "unproven"})
    named.look()
    assert named.removed_by(credential) is None
    assert uses(named, credential) == {stand_in.url: "unproven"}
    users = [seen.user for seen in stand_in.requests if seen.path == KUBE_SYSTEM]
    assert users[:3] == ["admin", name_of(credential), "admin"]


def test_another_cluster_at_the_address_of_an_api_server_proves_nothing(
    named: Keeper, naming: Naming, proxy: Proxy
) -> None:
    other = proxy.add_cluster("127.0.0.1")  # of the same server CA, with a uid of its own
    naming.name(other.url)
    anna, credential = admitted(named)
    named.clean(anna)
    eventually(lambda: statuses(named.plane, credential) == [403, 403])
    named.look()
    assert named.removed_by(credential) is None
    assert uses(named, credential) == {other.url: "unproven"}


def test_an_attestation_lapses_at_the_first_contact_and_is_then_proved(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        anna, credential = admitted(keeper)
        cluster.fault = Fault.down()
        keeper.look()
        keeper.clean(anna)
        keeper.installation.command(
            *("admin", "removals", "attest", "--cluster", keeper.cluster_id),
            *("--fingerprint", credential.fingerprint, "--reason", "they gave it back"),
        )
        assert keeper.removed_by(credential) == "attested"
        with bound_by_others(control_plane, role_binding("somebody-elses", name_of(credential))):
            cluster.fault = None
            keeper.look()
            assert keeper.removed_by(credential) is None
            assert [kind for kind, _ in keeper.steps_of(credential)] == ["attested", "lapsed"]
        keeper.look()
        assert keeper.removed_by(credential) == "proved"


# --- the brake


def test_the_brake_stops_what_no_record_explains_and_a_plan_confirms_it(keeper: Keeper) -> None:
    """Subjects that somebody added are drift: to take them out of one binding of two is more than a fifth."""
    anna, _ = admitted(keeper, "anna")
    _, berts = admitted(keeper, "bert")
    binding = f"{anna}-cluster-admin-clusterrolebinding"
    before = keeper.subjects()
    add_subjects(keeper, binding, "somebody")
    assert keeper.look()["manage"].startswith("Nothing was changed. 1 of 2 bindings would lose somebody")
    assert "somebody" in keeper.subjects()[binding]
    plan = keeper.client.manage_cluster(keeper.cluster_id)
    assert [step.what for step in plan.steps] == ["replace"] and "20 %" in plan.warnings[0]
    keeper.client.manage_cluster(keeper.cluster_id, plan_hash=plan.plan_hash)
    assert keeper.subjects() == before
    assert statuses(keeper.plane, berts) == [200, 200]


def test_a_stopped_pass_still_carries_out_what_is_recorded_as_removed(keeper: Keeper) -> None:
    anna, annas = admitted(keeper, "anna")
    bert, _ = admitted(keeper, "bert")
    add_subjects(keeper, f"{bert}-cluster-admin-clusterrolebinding", "somebody")
    keeper.clean(anna)
    eventually(lambda: keeper.removed_by(annas) == "proved")
    assert keeper.look()["manage"].startswith("Nothing was changed.")
    assert "somebody" in keeper.subjects()[f"{bert}-cluster-admin-clusterrolebinding"]


def test_more_than_ten_bindings_are_not_taken_from_without_a_confirmation(keeper: Keeper) -> None:
    """Bindings that only say they are ours, as a lost store would leave them."""
    labels = {"app.kubernetes.io/managed-by": "kubecustody", "kubecustody.io/account": keeper.installation.account_id}
    for number in range(60):
        body = role_binding(f"lost-{number}", f"9{number}", labels=labels)
        assert keeper.plane.ask("POST", BINDINGS, body=body).status == 201
    assert keeper.look()["manage"].startswith("Nothing was changed. 60 bindings would lose somebody, and 10 is")
    assert len(keeper.ours()) == 60


# --- passes that are cut off


def test_a_binding_that_changes_in_the_middle_of_a_pass_is_left_to_the_next_one(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        anna, lasting = admitted(keeper)
        binding = f"{anna}-cluster-admin-clusterrolebinding"
        changed = threading.Event()
        cluster.fault = changing_first(control_plane, "PATCH", binding, changed)
        short = keeper.get(anna, minutes=60)  # a second subject
        eventually(changed.is_set)
        eventually(lambda: keeper.look() == {})
        eventually(lambda: statuses(control_plane, short, lasting) == [200] * 4)
        assert keeper.ours()[binding]["metadata"]["annotations"] == {"by": "hand"}


def test_a_removal_whose_binding_changes_in_the_middle_of_a_pass_is_completed_all_the_same(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    """A removal is no step that waits: what was not as it was seen is looked at again in the same pass."""
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        anna, credential = admitted(keeper)
        changed = threading.Event()
        binding = f"{anna}-cluster-admin-clusterrolebinding"
        cluster.fault = changing_first(control_plane, "DELETE", binding, changed)
        keeper.clean(anna)
        eventually(lambda: keeper.removed_by(credential) == "proved")
        eventually(lambda: "Somebody else changed it meanwhile" in keeper.server.log.read_text())
        assert changed.is_set()
        assert (keeper.ours(), statuses(control_plane, credential)) == ({}, [403, 403])


def changing_first(plane: ControlPlane, method: str, binding: str, changed: threading.Event) -> Fault:
    """Just before the first request that would write to a binding, somebody changes it by hand."""

    def change_first(asked: str, path: str) -> bool:
        if asked == method and path.endswith(binding) and not changed.is_set():
            changed.set()
            patch = {"metadata": {"annotations": {"by": "hand"}}}
            headers = {"Content-Type": "application/merge-patch+json"}
            assert plane.ask("PATCH", f"{BINDINGS}/{binding}", body=patch, headers=headers).status == 200
        return False

    return Fault.status(500, strikes=change_first)


@pytest.mark.parametrize("cut_at", ["POST", "PATCH", "DELETE"])
def test_a_server_that_is_killed_between_steps_leaves_nothing_behind(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path, cut_at: str
) -> None:
    """Killed while it waits for the answer to its first create, replacement or deletion of a binding."""
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        (anna, annas), (bert, berts) = admitted(keeper, "anna"), admitted(keeper, "bert")
        waiting = threading.Event()

        def strikes(method: str, path: str) -> bool:
            hit = method == cut_at and "bindings" in path
            if hit:
                waiting.set()
            return hit

        cluster.fault = Fault.slow(30, strikes=strikes)
        carol = keeper.add_person("carol")
        carols = keeper.get(carol)
        if cut_at == "POST":
            keeper.grant(carol, "admin", "ops")
        elif cut_at == "PATCH":
            keeper.get(anna, minutes=60), keeper.get(bert, minutes=60)
        else:
            keeper.clean(anna), keeper.clean(bert)
        assert waiting.wait(10)
        os.kill(keeper.server.process.pid, signal.SIGKILL)
        keeper.server.process.wait(10)
        cluster.fault = None
        with again(keeper) as next_keeper:
            next_keeper.look()
            next_keeper.look()
            assert next_keeper.client.manage_cluster(keeper.cluster_id).steps == []
            expected = {"POST": {anna, bert, carol}, "PATCH": {anna, bert}, "DELETE": set()}[cut_at]
            assert {name.split("-")[0] for name in keeper.subjects()} == expected
            if cut_at == "DELETE":
                assert keeper.removed_by(annas) == keeper.removed_by(berts) == "proved"
            if cut_at == "POST":
                eventually(lambda: statuses(control_plane, carols) == [200, 200])


@contextlib.contextmanager
def again(keeper: Keeper) -> Iterator[Keeper]:
    """The keeper with a server that was started anew."""
    with serving(keeper.installation, **SETTINGS) as server:
        key = keeper.installation.key
        with Client(Endpoint(server.url, key.access_key_id, key.secret)) as client:
            yield Keeper(keeper.installation, server, client, keeper.plane, keeper.clusters, keeper.people)


# --- many


def test_a_cluster_that_hangs_delays_nobody_elses_removal(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    """Both are managed, so that the observer is at the hanging one when the removal is asked for. It takes the same
    certificates, so that only the proof waits for it.
    """
    hanging = proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.register(hanging.url, "hanging")
        keeper.manage()
        anna, _ = admitted(keeper)
        keeper.manage("hanging")  # one plane is behind both, so that for this person nothing differs
        keeper.grant(anna, "admin", name="hanging")
        keeper.get(anna, "hanging")
        hanging.fault = Fault.slow(10)
        bert, berts = admitted(keeper, "bert")
        eventually(lambda: [seen for seen in hanging.requests if seen.at > time.monotonic() - 3])
        begun = time.monotonic()
        keeper.clean(bert)
        eventually(lambda: statuses(keeper.plane, berts) == [403, 403], seconds=5)
        assert time.monotonic() - begun < 5
        hanging.fault = None
        keeper.look()
        assert keeper.removed_by(berts) == "proved"


# --- what the how-to says


def test_where_no_key_is_kept_reviews_stand_for_the_use(control_plane: ControlPlane, tmp_path: Path) -> None:
    with keeping(tmp_path, control_plane, keep_private_keys="off") as keeper:
        keeper.register()
        keeper.manage()
        anna, credential = admitted(keeper)
        keeper.clean(anna)
        eventually(lambda: keeper.removed_by(credential) == "proved")
        kinds = {kind for kind, _ in keeper.evidence(credential)}
        assert {"binding_scan", "access_review"} <= kinds and "used" not in kinds
        assert statuses(control_plane, credential) == [403, 403]


def test_who_was_bound_in_one_namespace_is_proved_by_a_request_that_was_allowed_there(named: Keeper) -> None:
    keeper = named
    anna = keeper.add_person("anna")
    credential = keeper.get(anna)
    keeper.grant(anna, "dev", namespace="default")
    pods = "/api/v1/namespaces/default/pods"
    eventually(lambda: keeper.plane.ask("GET", pods, credential).status == 200)
    assert set(statuses(keeper.plane, credential)) == {403}, "what is asked of the whole cluster says nothing here"
    keeper.clean(anna)
    eventually(lambda: keeper.removed_by(credential) == "proved")
    assert uses(keeper, credential) == dict.fromkeys(keeper.plane.urls, "refused")
    ((_, evidence),) = keeper.steps_of(credential)
    assert {one["told"] for one in evidence if one["kind"] == "used"} == {"Used, and refused by name (403)."}
    sql = "SELECT told FROM evidence WHERE kind = 'allowed_read'"
    assert [json.loads(told) for (told,) in rows_of(keeper.path, sql)] == [["list", "", "pods", "default", ""]]
    assert keeper.plane.ask("GET", pods, credential).status == 403


def test_a_role_that_allows_no_reading_leaves_the_review_to_prove_it(keeper: Keeper) -> None:
    """A refusal of what was never allowed says nothing, so the use alone does not count."""
    anna = keeper.add_person("anna")
    credential = keeper.get(anna)
    role = f"only-deletes-{anna}"
    rules = [{"verbs": ["delete"], "apiGroups": [""], "resources": ["pods"]}]
    path = f"{RBAC}/clusterroles"
    assert keeper.plane.ask("POST", path, body={"metadata": {"name": role}, "rules": rules}).status == 201
    try:
        keeper.grant(anna, role, custom=True)
        eventually(lambda: keeper.subjects() != {})
        keeper.clean(anna)
        eventually(lambda: keeper.removed_by(credential) == "proved")
    finally:
        keeper.plane.ask("DELETE", f"{path}/{role}")
    ((_, _, event),) = keeper.events("removal_proved")
    assert event["text"] == "No binding reaches it, and an access review refuses it."


def test_a_cluster_that_takes_the_same_certificates_must_prove_it_too(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    """The twin is the same plane under another uid, so that its bindings are the same ones."""
    twin, watched = proxy.add_cluster(), proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.manage()
        keeper.register(twin.url, "twin")
        keeper.manage("twin")
        keeper.register(watched.url, "watched")
        anew = ClusterFields(
            name="reissued", client_ca=reissue(control_plane.client_ca, "another name", int(time.time()))
        )
        keeper.clusters["reissued"] = keeper.installation.change(add_cluster, anew)
        (told,) = [one for one in keeper.client.test_cluster(keeper.cluster_id).findings if one.what == "shared_ca"]
        assert told.ok and all(
            f"{name} ({keeper.clusters[name]})" in told.text for name in ("twin", "watched", "reissued")
        )
        assert told.text.endswith("in watched, reissued, which this server does not manage.")
        assert keeper.clusters["reissued"] in keeper.clusters_command("list", "-o", "wide")[1].splitlines()[1]
        anna, credential = admitted(keeper)
        twin.fault = Fault.status(500)
        keeper.clean(anna)
        eventually(lambda: set(statuses(keeper.plane, credential)) == {403})
        keeper.look()
        assert keeper.removed_by(credential) is None
        (live,) = keeper.state(anna).live_credentials
        shown = {(one.kind, one.place): (one.outcome, one.text) for one in live.removal_evidence}
        assert shown["used", ""][0] == shown["binding_scan", ""][0] == "refused"
        assert shown["binding_scan", keeper.clusters["twin"]][0] == "unproven"
        assert shown["shared_ca", keeper.clusters["watched"]][1].endswith(
            "and is not managed: whether it lives there is not known."
        )
        assert ("shared_ca", keeper.clusters["reissued"]) in shown, "found by its key, under whatever name"
        reason = keeper.state(anna).cert_state_reason
        assert "Its removal was asked for. Not removed: " in reason
        assert all(f"{kind} on {keeper.clusters['twin']}: " in reason for kind in ("binding_scan", "access_review"))
        twin.fault = None
        keeper.look()
        assert keeper.removed_by(credential) == "proved"


def test_a_group_that_is_bound_by_others_keeps_the_proof_away(keeper: Keeper) -> None:
    """Unbinding does nothing about what everybody may; the states do not say that it did."""
    anna, credential = admitted(keeper)
    everybody = role_binding("for-everybody")
    everybody["subjects"] = [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated"}]
    with bound_by_others(keeper.plane, everybody):
        keeper.clean(anna)
        eventually(lambda: keeper.subjects() == {})
        told = keeper.look()["bindings"]
        assert told.startswith("for-everybody (written by somebody-else) permits view to all of system:authenticated")
        assert told in keeper.client.manage_cluster(keeper.cluster_id).warnings
        assert keeper.removed_by(credential) is None
        assert set(statuses(keeper.plane, credential)) == {200}
        row = keeper.state(anna)
        assert row.can_get_in == "yes", "it was used, and answered"
        shown = {one.kind: (one.outcome, one.text) for one in row.live_credentials[0].removal_evidence}
        scanned = "It is reached by for-everybody (written by somebody-else) through the group system:authenticated, "
        assert shown["binding_scan"] == ("allowed", f"{scanned}so that unbinding is not effective.")
        assert shown["rules_review"][0] == "allowed" and "It may still get " in shown["rules_review"][1]
        assert scanned in row.cert_state_reason
    keeper.look()
    assert keeper.removed_by(credential) == "proved"
