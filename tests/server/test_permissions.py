"""Granting and telling what people are permitted in clusters, on the wire."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from homes import FULL, READ_ONLY, Home, served_home
from wire import Answer, call

from custody.books import ask as rows_of
from custody.books import contents
from kubecustody.catalogue.permissions import ChangedPermission, GrantedPermission, UserPermission
from kubecustody.client import Client, Endpoint
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster, delete_cluster, purge_cluster
from kubecustody.custody.principals import delete_principal

GRANT = "GrantPermissions"
UPDATE = "UpdateUserPermissions"
DESCRIBE = "DescribeUserPermission"
NAMESPACES = "DescribeUserClusterNamespaces"

Item = dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(
        tmp_path_factory.mktemp("permissions"), clusters=3, key_burst="5000", account_burst="9000"
    ) as home:
        home.add("nobody")
        home.add("reader", READ_ONLY)
        yield home


def item(role: str, cluster: str = "", namespace: str = "", *, custom: bool = False) -> Item:
    role_type = "all-clusters" if not cluster else "namespace" if namespace else "cluster"
    item = {"cluster": cluster, "role_name": role, "role_type": role_type, "namespace": namespace}
    return {**item, "is_custom": custom, "is_ram_role": False}


def person(home: Home, *items: Item, kind: PrincipalKind = PrincipalKind.USER) -> str:
    """The name of somebody new with full access by policy, and these permissions from the account."""
    name = f"person-{len(home.people)}"
    home.add(name, FULL, kind=kind)
    if items:
        assert grant(home, name, *items).status == 200
    return name


def uid_of(home: Home, name: str) -> str:
    return home.people[name].uid if name in home.people else name


def grant(home: Home, name: str, *items: Any, who: str = "account") -> Answer:
    return home.ask(who, GRANT, uid=uid_of(home, name), body=list(items))


def update(home: Home, name: str, *items: Any, who: str = "account", mode: str = "") -> Answer:
    query = (("mode", mode),) if mode else ()
    return home.ask(who, UPDATE, uid=uid_of(home, name), body=list(items), query=query)


def told(home: Home, name: str, who: str = "account") -> list[tuple[str, str]]:
    """Resource and role of what is told."""
    answer = home.ask(who, DESCRIBE, uid=uid_of(home, name))
    assert answer.status == 200, answer.body
    return [(one["resource_id"], one["role_name"]) for one in answer.json]


def changes(home: Home, name: str) -> list[dict[str, Any]]:
    sql = "SELECT kind, actor, details FROM events WHERE uid = ? AND kind = 'permissions_changed' ORDER BY event_no"
    return [{"actor": actor, **json.loads(text)} for _, actor, text in rows_of(home.path, sql, uid_of(home, name))]


def refused(home: Home, answer: Answer, before: Any, code: str) -> str:
    message = home.refusal(answer, code)
    assert contents(home.path) == before
    return message


# --- granting


def test_what_is_granted_is_told_as_the_provider_tells_it(home: Home) -> None:
    one, two, _ = home.clusters
    items = [
        item("admin", one),
        item("dev", two, "team-a"),
        item("view", two, custom=True),
        item("restricted"),
    ]
    name = person(home)
    answer = grant(home, name, *items)
    assert (answer.status, answer.json) == (200, {})
    assert home.ask("account", DESCRIBE, uid=uid_of(home, name)).json == [
        {
            "resource_id": "all-clusters",
            "resource_type": "console",
            "role_name": "restricted",
            "role_type": "restricted",
            "is_owner": 0,
            "is_ram_role": 0,
        },
        {
            "resource_id": one,
            "resource_type": "cluster",
            "role_name": "admin",
            "role_type": "admin",
            "is_owner": 0,
            "is_ram_role": 0,
        },
        {
            "resource_id": two,
            "resource_type": "cluster",
            "role_name": "view",
            "role_type": "custom",
            "is_owner": 0,
            "is_ram_role": 0,
        },
        {
            "resource_id": f"{two}/team-a",
            "resource_type": "namespace",
            "role_name": "dev",
            "role_type": "dev",
            "is_owner": 0,
            "is_ram_role": 0,
        },
    ]


def test_a_role_and_the_account_are_told_as_such(home: Home) -> None:
    name = person(home, item("ops", home.clusters[0]), kind=PrincipalKind.ROLE)
    (listed,) = home.ask("account", DESCRIBE, uid=uid_of(home, name)).json
    assert (listed["is_ram_role"], listed["is_owner"]) == (1, 0)
    assert grant(home, "account", item("ops", home.clusters[0])).status == 200
    (listed,) = home.ask("account", DESCRIBE, uid=uid_of(home, "account")).json
    assert (listed["is_ram_role"], listed["is_owner"]) == (0, 1)
    assert grant(home, "account").status == 200


def test_a_grant_replaces_everything_and_an_empty_one_takes_everything(home: Home) -> None:
    one, two, _ = home.clusters
    name = person(home, item("ops", one), item("dev", two, "a"))
    assert grant(home, name, item("dev", two, "a"), item("dev", two, "b")).status == 200
    assert told(home, name) == [(f"{two}/a", "dev"), (f"{two}/b", "dev")]
    assert grant(home, name).status == 200
    assert told(home, name) == []


@pytest.mark.parametrize("mode", ["", "apply"])
def test_an_update_replaces_everything_unless_told_otherwise(home: Home, mode: str) -> None:
    one, two, _ = home.clusters
    name = person(home, item("ops", one), item("dev", two, "a"))
    assert update(home, name, item("dev", one), mode=mode).status == 200
    assert told(home, name) == [(one, "dev")]
    assert update(home, name, mode=mode).status == 200
    assert told(home, name) == []


def test_an_update_adds_and_takes_away_what_it_names(home: Home) -> None:
    one, two, _ = home.clusters
    name = person(home, item("ops", one))
    assert update(home, name, item("dev", two, "a"), item("ops", one), mode="patch").status == 200
    assert told(home, name) == [(one, "ops"), (f"{two}/a", "dev")]
    # What the person does not have is no fault; a role in one place is not the same in another.
    assert update(home, name, item("ops", one), item("dev", two), item("dev", two, "b"), mode="delete").status == 200
    assert told(home, name) == [(f"{two}/a", "dev")]
    for mode in ("patch", "delete"):
        assert update(home, name, mode=mode).status == 200
    assert told(home, name) == [(f"{two}/a", "dev")]


def test_each_change_is_one_event_with_before_and_after(home: Home) -> None:
    one, two, _ = home.clusters
    name = person(home)
    grant(home, name, item("ops", one))
    update(home, name, item("view", two, "a", custom=True), mode="patch")
    grant(home, name)
    ops = {"cluster_id": one, "namespace": "", "role": "ops", "is_custom": False}
    view = {"cluster_id": two, "namespace": "a", "role": "view", "is_custom": True}
    both = sorted([ops, view], key=lambda each: each["cluster_id"])
    actor = f"acs:ram::{home.installation.account_id}:root"
    assert changes(home, name) == [
        {"actor": actor, "before": [], "after": [ops]},
        {"actor": actor, "before": [ops], "after": both},
        {"actor": actor, "before": both, "after": []},
    ]


def test_what_changes_nothing_leaves_nothing(home: Home) -> None:
    one = home.clusters[0]
    name = person(home, item("ops", one))
    before = contents(home.path)
    for answer in (
        grant(home, name, item("ops", one)),
        update(home, name, item("ops", one), mode="patch"),
        update(home, name, item("dev", one), mode="delete"),
        update(home, name, mode="patch"),
    ):
        assert answer.status == 200
    assert contents(home.path) == before


def test_permissions_are_of_one_person_in_one_account(home: Home) -> None:
    one = home.clusters[0]
    first, second = person(home, item("ops", one)), person(home, item("ops", one))
    assert grant(home, first).status == 200
    assert told(home, second) == [(one, "ops")]
    other = home.second_account()
    home.people["other-account"] = other
    home.refusal(grant(home, second, who="other-account"), "EntityNotExist.User")
    home.refusal(home.ask("other-account", DESCRIBE, uid=uid_of(home, second)), "EntityNotExist.User")
    home.refusal(grant(home, "other-account", item("ops", one), who="other-account"), "ErrorClusterNotFound")


# --- what may not be asked


def test_every_fault_of_the_array_is_named_with_its_place(home: Home) -> None:
    one, name = home.clusters[0], person(home)
    before = contents(home.path)
    items = [
        item("ops", one),
        item("admin", one, "a"),
        item("dev", one),
        item("admin-view"),
        item("ops", one),
        item("system:masters", one, custom=True),
        {**item("dev", one), "namespace": "a"},
    ]
    message = refused(home, grant(home, name, *items), before, "InvalidParameter")
    for part in (
        "[1].role_name: is admin",
        "[3].role_name: is admin-view",
        "[4]: is the same as [0]",
        "[5].role_name: is 'system:masters'",
        "[6].namespace: is given",
    ):
        assert part in message
    assert "[0]." not in message and "[2]." not in message
    message = refused(home, update(home, name, items[0], mode="merge"), before, "InvalidParameter")
    assert message == "mode: is 'merge'; it must be apply, patch or delete."


def test_every_wrong_type_is_named_with_its_place(home: Home) -> None:
    one, name = home.clusters[0], person(home)
    before = contents(home.path)
    good = item("ops", one)
    items = [
        good,
        7,
        None,
        [good],
        {**good, "cluster": 7, "is_custom": "true"},
        {**good, "namespace": None},
        {"namespace": "a"},
        {**good, "role_name": "r" * 254, "unknown": {}},
        {**good, "role_type": "everything"},
    ]
    message = refused(home, grant(home, name, *items), before, "InvalidParameter")
    for part in (
        "[1]: must be a JSON object",
        "[2]: must be a JSON object",
        "[3]: must be a JSON object",
        "[4].cluster: must be JSON of type string",
        "[4].is_custom: must be JSON of type boolean",
        "[5].namespace: must be JSON of type string",
        "[6].cluster: is mandatory",
        "[6].role_name: is mandatory",
        "[6].role_type: is mandatory",
        "[7].role_name: has 254 characters",
        "[8].role_type: is 'everything'; it must be cluster, namespace or all-clusters.",
    ):
        assert part in message
    assert "[0]." not in message and "unknown" not in message
    # Of an update every member is optional, and a permission without a role still is none.
    message = refused(home, update(home, name, {}), before, "InvalidParameter")
    assert "[0].role_type: " in message and "[0].role_name: " in message


@pytest.mark.parametrize("operation", [GRANT, UPDATE])
@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'"[]"', b"7", b'{"body": []}'])
def test_only_an_array_that_is_written_out_takes_everything_away(home: Home, operation: str, body: bytes) -> None:
    name = person(home, item("ops", home.clusters[0]))
    before = contents(home.path)
    path = f"/permissions/users/{uid_of(home, name)}" + ("/update" if operation == UPDATE else "")
    answer = call(home.server, home.people["account"], path, method="POST", body=body, action=operation)
    assert "JSON array" in refused(home, answer, before, "ErrorJsonDecode")


def test_at_most_500_items_are_taken(home: Home) -> None:
    one, name = home.clusters[0], person(home)
    items = [item("dev", one, f"n{number}") for number in range(501)]
    before = contents(home.path)
    assert "at most 500" in refused(home, grant(home, name, *items), before, "InvalidParameter")
    assert grant(home, name, *items[:500]).status == 200
    assert len(told(home, name)) == 500
    message = home.refusal(update(home, name, items[500], mode="patch"), "InvalidParameter")
    assert "body: makes it 501 permissions" in message


def test_what_does_not_exist_is_told(home: Home) -> None:
    name = person(home)
    gone = person(home, item("ops", home.clusters[0]))
    home.installation.change(delete_principal, gone)
    before = contents(home.path)
    for answer in (grant(home, "299"), update(home, "299"), grant(home, gone), update(home, gone, mode="patch")):
        refused(home, answer, before, "EntityNotExist.User")
    refused(home, home.ask("account", DESCRIBE, uid="299"), before, "EntityNotExist.User")
    for answer in (
        grant(home, name, item("ops", home.clusters[0]), item("ops", "c-none")),
        update(home, name, item("ops", "c-none"), mode="delete"),
    ):
        assert "c-none" in refused(home, answer, before, "ErrorClusterNotFound")
    # What somebody who left is still permitted can be seen.
    assert told(home, gone) == [(home.clusters[0], "ops")]


def test_nothing_new_is_granted_in_a_deleted_cluster_and_what_is_there_can_go(home: Home) -> None:
    cluster = home.installation.change(add_cluster, ClusterFields(name="short-lived"))
    name = person(home, item("ops", cluster))
    home.installation.change(delete_cluster, cluster)
    before = contents(home.path)
    for answer in (
        grant(home, name, item("ops", cluster), item("dev", cluster)),
        update(home, name, item("dev", cluster, "a"), mode="patch"),
    ):
        assert "deleted" in refused(home, answer, before, "ErrorClusterState")
    assert grant(home, name, item("ops", cluster), item("dev", home.clusters[0])).status == 200
    assert update(home, name, item("ops", cluster), mode="delete").status == 200
    assert told(home, name) == [(home.clusters[0], "dev")]


def test_what_was_granted_in_a_purged_cluster_is_not_told(home: Home) -> None:
    cluster = home.installation.change(add_cluster, ClusterFields(name="purged"))
    name = person(home, item("ops", cluster), item("dev"))
    home.installation.change(delete_cluster, cluster)
    home.installation.change(purge_cluster, cluster)
    assert told(home, name) == [("all-clusters", "dev")]
    home.refusal(update(home, name, item("ops", cluster), mode="delete"), "ErrorClusterNotFound")
    assert grant(home, name).status == 200
    assert told(home, name) == []


# --- who may


def test_who_has_no_policy_is_told_the_same_whatever_exists(home: Home) -> None:
    existing = uid_of(home, person(home))
    texts = set()
    for who in ("nobody", "reader"):
        for uid in (existing, "299", home.installation.account_id, uid_of(home, who)):
            for answer in (
                grant(home, uid, item("ops", "c-none"), who=who),
                update(home, uid, item("ops", home.clusters[0]), who=who),
            ):
                texts.add((who, answer.json["AccessDeniedDetail"]["AuthAction"], home.refusal(answer)))
    actions = {(who, action) for who, action, _ in texts}
    assert actions == {(who, f"cs:{name}") for who in ("nobody", "reader") for name in ("GrantPermission", UPDATE)}
    assert len(texts) == 4
    home.refusal(home.ask("nobody", DESCRIBE, uid=existing))
    home.refusal(home.ask("nobody", NAMESPACES, home.clusters[0]))
    home.refusal(home.ask("nobody", NAMESPACES, "c-none"))


@pytest.mark.parametrize("action", ["cs:GrantPermission", "cs:GrantPermissions"])
def test_either_name_of_the_action_allows_it_and_denies_it(home: Home, action: str) -> None:
    target = person(home)
    allowed, denied = f"allowed-by-{len(home.people)}", f"denied-by-{len(home.people)}"
    home.allow(allowed, {"Action": action})
    home.add(denied, FULL, home.put(denied, {"Effect": "Deny", "Action": action}))
    assert grant(home, target, who=allowed).status == 200
    home.refusal(grant(home, target, who=denied))


def test_nobody_but_the_account_changes_the_accounts_or_their_own(home: Home) -> None:
    admin = person(home, item("admin"))
    before = contents(home.path)
    for target, words in (("account", "the account itself"), (admin, "themselves")):
        for answer in (
            grant(home, target, who=admin),
            grant(home, target, item("dev"), who=admin),
            update(home, target, item("admin"), who=admin, mode="delete"),
        ):
            assert words in refused(home, answer, before, "ForbiddenGrantPermissions")


def test_nobody_grants_more_than_they_hold(home: Home) -> None:
    one, two, three = home.clusters
    granter = person(home, item("admin", one), item("dev", two, "a"), item("view", two, custom=True))
    target = person(home)
    for fine in (item("admin", one), item("ops", one), item("dev", one, "x"), item("dev", two, "a")):
        assert update(home, target, fine, who=granter, mode="patch").status == 200
    assert update(home, target, item("view", two, "z", custom=True), who=granter, mode="patch").status == 200
    before = contents(home.path)
    for beyond in (
        item("dev", two),
        item("dev", two, "b"),
        item("restricted", two, "a"),
        item("restricted", three),
        item("restricted"),
        item("view", one, custom=True),
        item("cluster-admin", one, custom=True),
    ):
        for answer in (
            update(home, target, beyond, who=granter, mode="patch"),
            grant(home, target, item("ops", one), beyond, who=granter),
        ):
            refused(home, answer, before, "ForbiddenGrantPermissions")
    assert [place for place, _ in told(home, target)] == [one, one, f"{one}/x", f"{two}/a", f"{two}/z"]


def test_what_somebody_has_already_can_be_named_again_by_who_does_not_hold_it(home: Home) -> None:
    """Tools send the whole set, and what stays is granted by nobody."""
    one, two, _ = home.clusters
    granter, target = person(home, item("dev", one)), person(home, item("admin", two))
    assert grant(home, target, item("admin", two), item("dev", one), who=granter).status == 200
    assert told(home, target) == [(one, "dev"), (two, "admin")]
    assert [change["actor"].rpartition("/")[2] for change in changes(home, target)][1:] == [uid_of(home, granter)]


def test_cluster_admin_is_granted_by_the_account_alone(home: Home) -> None:
    one = home.clusters[0]
    root = item("cluster-admin", one, custom=True)
    granter, target = person(home, item("admin"), root), person(home)
    message = home.refusal(grant(home, target, root, who=granter), "ForbiddenGrantPermissions")
    assert "only the account itself" in message
    assert grant(home, target, root).status == 200


def test_a_session_grants_what_its_role_holds(home: Home) -> None:
    one, two, _ = home.clusters
    role, target = person(home, item("admin", one), kind=PrincipalKind.ROLE), person(home)
    session = home.begin(role)
    assert home.ask(session, GRANT, uid=uid_of(home, target), body=[item("dev", one)]).status == 200
    answer = home.ask(session, GRANT, uid=uid_of(home, target), body=[item("dev", two)])
    home.refusal(answer, "ForbiddenGrantPermissions")
    home.refusal(home.ask(session, GRANT, uid=uid_of(home, role), body=[]), "ForbiddenGrantPermissions")
    assert changes(home, target)[0]["actor"].endswith(f"assumed-role/{uid_of(home, role)}/cli")


def test_who_is_not_the_account_sees_others_only_where_they_are_admin(home: Home) -> None:
    one, two, _ = home.clusters
    target = person(home, item("ops"), item("dev", one, "a"), item("dev", two))
    everything = [("all-clusters", "ops"), (f"{one}/a", "dev"), (two, "dev")]
    assert told(home, target) == everything
    assert told(home, target, who=target) == everything
    assert told(home, target, who=person(home)) == []
    assert told(home, target, who=person(home, item("admin", one))) == [(f"{one}/a", "dev")]
    assert told(home, target, who=person(home, item("admin"))) == everything
    little = [item("admin-view", one), item("ops"), item("dev", two, "a"), item("admin", one, custom=True)]
    assert told(home, target, who=person(home, *little)) == []


# --- namespaces


def test_namespaces_are_those_of_the_callers_permissions(home: Home) -> None:
    one, two, three = home.clusters
    items = [item("dev", one, "b"), item("view", one, "a", custom=True), item("restricted", one, "b")]
    name = person(home, *items, item("dev", two, "c"), item("ops", three))
    assert home.ask(name, NAMESPACES, one).json == ["a", "b"]
    assert home.ask(name, NAMESPACES, two).json == ["c"]
    assert "kubectl get namespaces" in home.refusal(home.ask(name, NAMESPACES, three), "ErrorClusterState")


def test_namespaces_of_a_whole_cluster_are_known_to_the_cluster_alone(home: Home) -> None:
    one = home.clusters[0]
    for name in ("account", person(home, item("restricted")), person(home, item("dev", one, "a"), item("dev", one))):
        home.refusal(home.ask(name, NAMESPACES, one), "ErrorClusterState")


def test_namespaces_are_not_told_to_who_is_permitted_nothing(home: Home) -> None:
    one, two, _ = home.clusters
    name = person(home, item("dev", two, "a"))
    home.refusal(home.ask(name, NAMESPACES, one), "ForbiddenQueryClusterNamespace")
    home.refusal(home.ask(name, NAMESPACES, "c-none"), "ErrorClusterNotFound")


# --- our own client, and the provider's


def test_our_client_speaks_bodies_and_answers_that_are_arrays(home: Home) -> None:
    one, two, _ = home.clusters
    name = person(home)
    uid = uid_of(home, name)
    with client_of(home, "account") as client:
        client.grant_permissions(uid, [GrantedPermission(one, "ops", "cluster")])
        client.update_user_permissions(uid, [ChangedPermission(two, "dev", "namespace", "a")], mode="patch")
        assert client.describe_user_permission(uid) == [
            UserPermission(one, "cluster", "ops", "ops", 0, 0),
            UserPermission(f"{two}/a", "namespace", "dev", "dev", 0, 0),
        ]
        with client_of(home, name) as own:
            assert own.describe_user_cluster_namespaces(two) == ["a"]
        client.grant_permissions(uid, [])
        assert client.describe_user_permission(uid) == []


def client_of(home: Home, name: str) -> Client:
    key = home.people[name]
    return Client(Endpoint(home.server.url, key.access_key_id, key.secret))


@pytest.mark.sdk
def test_the_providers_sdk_grants_and_asks(home: Home) -> None:
    from alibabacloud_cs20151215 import models
    from alibabacloud_cs20151215.client import Client as Sdk
    from alibabacloud_tea_openapi.utils_models import Config

    one, two, _ = home.clusters
    name = person(home)
    uid = uid_of(home, name)

    def sdk(who: str) -> Any:
        key, endpoint = home.people[who], home.server.url.removeprefix("http://")
        config = Config(
            access_key_id=key.access_key_id,
            access_key_secret=key.secret,
            endpoint=endpoint,
            protocol="http",
            region_id="local",
        )
        return Sdk(config)

    account = sdk("account")
    granted = models.GrantPermissionsRequestBody(cluster=one, role_name="ops", role_type="cluster")
    account.grant_permissions(uid, models.GrantPermissionsRequest(body=[granted]))
    added = models.UpdateUserPermissionsRequestBody(cluster=two, role_name="dev", role_type="namespace", namespace="a")
    account.update_user_permissions(uid, models.UpdateUserPermissionsRequest(body=[added], mode="patch"))
    listed = account.describe_user_permission(uid).body
    assert [(each.resource_id, each.role_type, each.is_owner) for each in listed] == [
        (one, "ops", 0),
        (f"{two}/a", "dev", 0),
    ]
    assert sdk(name).describe_user_cluster_namespaces(two).body == ["a"]
    account.grant_permissions(uid, models.GrantPermissionsRequest(body=[]))
    assert account.describe_user_permission(uid).body == []
