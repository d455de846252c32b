"""Who may grant what, judged by real API servers: nobody more than they hold there, rule by rule."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import RBAC, Keeper, bound_by_others, keeping, name_of, role_binding, statuses
from control_plane.proxy import Fault, Proxy
from control_plane.test_managing import admitted
from control_plane.waiting import eventually
from kubecustody.catalogue.permissions import ChangedPermission, GrantedPermission
from kubecustody.client import ApiError, Client

pytestmark = pytest.mark.control_plane

ROLES = f"{RBAC}/clusterroles"


@pytest.fixture
def keeper(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.manage()
        yield keeper


def grantor(keeper: Keeper, *roles: str, **where: Any) -> tuple[str, Identity]:
    """Somebody who holds these roles in the cluster itself."""
    uid = keeper.add_person("grantor")
    credential = keeper.get(uid)
    keeper.grant(uid, *roles, **where)
    eventually(lambda: any(name_of(credential) in names for names in keeper.subjects().values()))
    return uid, credential


def grants(keeper: Keeper, who: str, to: str, *permissions: GrantedPermission) -> str:
    """The error's message; "" where it was granted."""
    with Client(keeper.endpoint_of(who)) as client:
        try:
            client.grant_permissions(to, list(permissions))
        except ApiError as error:
            assert error.code == "ForbiddenGrantPermissions", error
            return error.message
    return ""


def permission(keeper: Keeper, role: str, namespace: str = "", *, custom: bool = False) -> GrantedPermission:
    kind = "namespace" if namespace else "cluster"
    return GrantedPermission(keeper.clusters["prod"], role, kind, namespace, custom)


@pytest.fixture
def custom(keeper: Keeper) -> Iterator[dict[str, Any]]:
    """A role that reads pods, under a name of its own; and what is made of it."""
    name = f"reads-pods-{keeper.installation.account_id}"
    body = {"metadata": {"name": name}, "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}
    answer = keeper.plane.ask("POST", ROLES, body=body)
    assert answer.status == 201
    try:
        yield answer.document
    finally:
        keeper.plane.ask("DELETE", f"{ROLES}/{name}")


def test_an_admin_grants_roles_and_nobody_else_grants_admin(keeper: Keeper, custom: dict[str, Any]) -> None:
    """What the records say of an admin's ClusterRoles is nothing; the cluster knows what they permit."""
    boss, _ = grantor(keeper, "admin")
    bert, carl = keeper.add_person("bert"), keeper.add_person("carl")
    wanted = [permission(keeper, "ops"), permission(keeper, custom["metadata"]["name"], custom=True)]
    assert grants(keeper, boss, bert, *wanted) == ""
    berts = keeper.get(bert)
    eventually(lambda: any(name_of(berts) in names for names in keeper.subjects().values()))
    told = grants(keeper, bert, carl, permission(keeper, "admin"))
    assert "the caller may not * *.*, which is part of admin in" in told
    assert "impersonate serviceaccounts, which is part of dev" in grants(
        keeper, bert, carl, permission(keeper, "dev", "default")
    )
    assert grants(keeper, bert, carl, permission(keeper, "restricted", "default")) == ""


def test_what_is_held_in_one_namespace_is_granted_in_no_other(keeper: Keeper) -> None:
    one, _ = grantor(keeper, "dev", namespace="default")
    bert = keeper.add_person("bert")
    assert grants(keeper, one, bert, permission(keeper, "dev", "default")) == ""
    assert "the caller may not " in grants(keeper, one, bert, permission(keeper, "dev", "kube-system"))
    assert "the caller may not " in grants(keeper, one, bert, permission(keeper, "restricted"))


def test_a_role_is_what_it_is_now_and_a_binding_of_others_counts(keeper: Keeper, custom: dict[str, Any]) -> None:
    name = custom["metadata"]["name"]
    one, credential = grantor(keeper, name, custom=True)
    bert = keeper.add_person("bert")
    wanted = permission(keeper, name, custom=True)
    assert grants(keeper, one, bert, wanted) == ""
    view = permission(keeper, "view", custom=True)
    assert "view in" in grants(keeper, one, bert, view)
    with bound_by_others(keeper.plane, role_binding(f"others-{one}", name_of(credential), role="view")):
        assert grants(keeper, one, bert, view, wanted) == ""
    missing = grants(keeper, one, bert, permission(keeper, "not-there", custom=True))
    assert "has no ClusterRole not-there" in missing
    changed = {**custom, "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}
    assert keeper.plane.ask("PUT", f"{ROLES}/{name}", body=changed).status == 200
    assert grants(keeper, one, bert, permission(keeper, "restricted")) == "", "the role that they hold grew"


def test_what_is_for_all_clusters_must_be_held_in_each(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    """Both are the same plane, under a uid of their own; so that a binding made for one is there in the other."""
    near, far = proxy.add_cluster(), proxy.add_cluster()
    everywhere = GrantedPermission("", "restricted", "all-clusters")
    with keeping(tmp_path, control_plane) as keeper:
        for name, cluster in (("prod", near), ("far", far)):
            keeper.register(cluster.url, name)
            keeper.manage(name)
        boss, bert = keeper.add_person("boss"), keeper.add_person("bert")
        keeper.client.grant_permissions(boss, [GrantedPermission("", "admin", "all-clusters")])
        first = keeper.get(boss)
        with bound_by_others(control_plane, role_binding(f"near-{boss}", name_of(first), role="cluster-admin")):
            told = grants(keeper, boss, bert, everywhere)
            assert f"in {keeper.clusters['far']} the caller may not " in told
            assert "part of restricted in all clusters" in told
            second = keeper.get(boss, "far")
            with bound_by_others(control_plane, role_binding(f"far-{boss}", name_of(second), role="cluster-admin")):
                assert grants(keeper, boss, bert, everywhere) == ""
                keeper.grant(boss, "admin")
                told = grants(keeper, boss, bert, GrantedPermission("", "ops", "all-clusters"))
                assert "does not hold ops in all clusters" in told, "clusters to come are meant as well"
        keeper.client.grant_permissions(boss, [GrantedPermission("", "admin", "all-clusters")])
        near.fault = far.fault = Fault.down()
        told = grants(keeper, boss, bert, GrantedPermission("", "ops", "all-clusters"))
        assert all(f"{one}: " in told for one in keeper.clusters.values())
        assert told.endswith("Only the account grants meanwhile.")


def test_who_holds_a_grant_and_no_credential_holds_nothing_there(keeper: Keeper) -> None:
    boss, _ = grantor(keeper, "admin")
    keeper.client.clean_cluster_user_permissions(keeper.cluster_id, boss, force=True, allow_last_admin=True)
    keeper.grant(boss, "admin")
    bert = keeper.add_person("bert")
    assert "the caller may not " in grants(keeper, boss, bert, permission(keeper, "restricted"))


def test_where_the_cluster_cannot_be_asked_only_the_account_grants(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        boss, _ = grantor(keeper, "admin")
        bert = keeper.add_person("bert")
        cluster.fault = Fault.down()
        told = grants(keeper, boss, bert, permission(keeper, "restricted"))
        assert "cannot be read in " in told and "Only the account grants meanwhile." in told
        keeper.grant(bert, "restricted")


# --- the last admin


def test_the_last_admin_of_a_managed_cluster_goes_only_when_that_is_said(keeper: Keeper) -> None:
    anna, credential = admitted(keeper)
    client, cluster_id = keeper.client, keeper.cluster_id
    admin = [ChangedPermission(cluster_id, "admin", "cluster")]
    for call in (
        lambda: client.clean_cluster_user_permissions(cluster_id, anna, force=True),
        lambda: client.clean_cluster_user_permissions(cluster_id, anna, force=True, dry_run=True),
        lambda: client.clean_user_permissions(anna, force=True),
        lambda: client.clean_user_permissions(anna, force=True, cluster_ids=[cluster_id]),
        lambda: client.grant_permissions(anna, []),
        lambda: client.update_user_permissions(anna, admin, mode="delete"),
    ):
        with pytest.raises(ApiError) as error:
            call()
        assert (error.value.code, cluster_id in error.value.message) == ("ErrorLastAdmin", True)
    assert statuses(keeper.plane, credential) == [200, 200]
    bert = keeper.add_person("bert")
    client.grant_permissions(bert, [GrantedPermission("", "admin", "all-clusters")])
    client.clean_cluster_user_permissions(cluster_id, anna, force=True)
    eventually(lambda: keeper.removed_by(credential) == "proved")
    with pytest.raises(ApiError) as error:
        client.clean_user_permissions(bert, force=True)
    assert error.value.code == "ErrorLastAdmin"
    client.clean_user_permissions(bert, force=True, allow_last_admin=True)
    assert client.describe_user_permission(bert) == []


def test_a_removal_that_was_taken_is_not_held_back(control_plane: ControlPlane, proxy: Proxy, tmp_path: Path) -> None:
    """Granted, cleaned, granted and cleaned while the cluster is down: nothing of it is bound afterwards."""
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        anna, old = admitted(keeper)
        cluster.fault = Fault.down()
        keeper.clean(anna)
        new = keeper.get(anna)
        keeper.grant(anna, "admin", "ops")
        keeper.clean(anna)
        assert statuses(keeper.plane, old, new) == [200, 200, 403, 403], "nothing was written meanwhile"
        cluster.fault = None
        cluster.requests.clear()
        keeper.look()
        eventually(lambda: statuses(keeper.plane, old, new) == [403] * 4)
        assert keeper.ours() == {}
        made = [seen for seen in cluster.requests if seen.method == "POST" and seen.path.endswith("bindings")]
        assert made == [], "no grant that was taken away again was carried out"
        keeper.look()
        assert keeper.removed_by(old) == keeper.removed_by(new) == "proved"
