"""What a request may ask of people's permissions, and who may grant what."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.errors import GrantForbidden, ParametersRefused
from kubecustody.core.permissions import (
    MOST_PERMISSIONS,
    PREDEFINED_ROLES,
    AskedPermission,
    Mode,
    Permission,
    RoleType,
    check_may_grant,
    covers,
    is_admin_of,
    namespaces_of,
    permissions_after,
    read_permissions,
)


def asked(role: str = "ops", cluster: str = "c1", role_type: str = "cluster", **more: Any) -> AskedPermission:
    return AskedPermission(cluster, role_type, role, **more)


def held(role: str = "ops", cluster: str = "c1", namespace: str = "", *, custom: bool = False) -> Permission:
    return Permission(cluster, namespace, role, custom)


def faults_of(*items: AskedPermission, mode: str = "apply") -> dict[str, str]:
    with pytest.raises(ParametersRefused) as caught:
        read_permissions(items, mode)
    assert len({fault.parameter for fault in caught.value.faults}) == len(caught.value.faults)
    return {fault.parameter: fault.text for fault in caught.value.faults}


# --- what may be asked


@pytest.mark.parametrize(
    ("item", "permission"),
    [
        (asked("admin"), held("admin")),
        (asked("admin-view"), held("admin-view")),
        (asked("ops"), held("ops")),
        (asked("dev"), held("dev")),
        (asked("restricted"), held("restricted")),
        (asked("admin", "", "all-clusters"), held("admin", "")),
        (asked("dev", "", "all-clusters"), held("dev", "")),
        (asked("dev", role_type="namespace", namespace="team-a"), held("dev", namespace="team-a")),
        (asked("restricted", role_type="namespace", namespace="0"), held("restricted", namespace="0")),
        (asked("view", is_custom=True), held("view", custom=True)),
        (asked("admin", is_custom=True), held("admin", custom=True)),
        (asked("cluster-admin", is_custom=True), held("cluster-admin", custom=True)),
        (
            asked("My.Role:of_x-1", role_type="namespace", namespace="n" * 63, is_custom=True),
            held("My.Role:of_x-1", namespace="n" * 63, custom=True),
        ),
        (asked("r" * 253, is_custom=True), held("r" * 253, custom=True)),
    ],
)
def test_permission_that_may_be_asked(item: AskedPermission, permission: Permission) -> None:
    assert read_permissions([item]) == (Mode.APPLY, (permission,))


@pytest.mark.parametrize(
    ("item", "member", "words"),
    [
        (asked(role_type=""), "role_type", "cluster, namespace or all-clusters"),
        (asked(role_type="Cluster"), "role_type", "cluster, namespace or all-clusters"),
        (asked(role_type="all-clusters"), "cluster", "must be empty"),
        (asked(cluster=""), "cluster", "name a cluster"),
        (asked("dev", "", "namespace", namespace="a"), "cluster", "name a cluster"),
        (asked(namespace="a"), "namespace", "must be empty"),
        (asked(cluster="", role_type="all-clusters", namespace="a"), "namespace", "must be empty"),
        (asked("dev", role_type="namespace"), "namespace", "lower-case"),
        *(
            (asked("dev", role_type="namespace", namespace=name), "namespace", "lower-case")
            for name in ("A", "a_b", "-a", "a-", "a.b", "a/b", "n" * 64, "a\n", "ä", "*")
        ),
        *(
            (asked(role, role_type="namespace", namespace="a"), "role_name", "not granted in a namespace")
            for role in ("admin", "admin-view", "ops")
        ),
        (asked("admin-view", "", "all-clusters"), "role_name", "not granted for all clusters"),
        *((asked(role), "role_name", "is_custom true") for role in ("", "Admin", "view", "cluster-admin", "custom")),
        *(
            (asked(role, is_custom=True), "role_name", "1 to 253 letters")
            for role in ("", "a/b", "a%b", "..", ".", "-a", "a-", "a b", "r" * 254, "a\n", "ä", "<b>", "\x1b[31m")
        ),
        *(
            (asked(role, is_custom=True), "role_name", "granted to nobody")
            for role in ("system:masters", "system:node", "system:x:y")
        ),
    ],
)
def test_permission_that_may_not_be_asked(item: AskedPermission, member: str, words: str) -> None:
    faults = faults_of(item)
    assert list(faults) == [f"[0].{member}"]
    assert words in faults[f"[0].{member}"]


def test_every_fault_is_named_with_its_place() -> None:
    good = asked("dev", role_type="namespace", namespace="a")
    bad = asked("boss", "", "galaxy", namespace="A")
    faults = faults_of(good, bad, good, asked("admin", "", "namespace", namespace="B"), good, mode="add")
    assert list(faults) == [
        "mode",
        "[1].role_type",
        "[1].role_name",
        "[3].cluster",
        "[3].namespace",
        "[3].role_name",
        "[2]",
        "[4]",
    ]
    assert faults["mode"].startswith("is 'add'; it must be apply, patch or delete")
    assert "[0]" in faults["[2]"] and "[0]" in faults["[4]"]


def test_what_a_fault_shows_is_short_and_inert() -> None:
    faults = faults_of(asked("\x1b]0;\u202e" + "r" * 500, is_custom=True), asked(role_type="\n<script>"))
    for text in faults.values():
        assert len(text) < 200 and text.isascii() and text.isprintable()


@given(
    st.lists(
        st.builds(
            AskedPermission,
            st.sampled_from(["", "c1", "c2"]),
            st.sampled_from([*RoleType, "other"]),
            st.sampled_from([*PREDEFINED_ROLES, "system:x", "view", ""]),
            st.sampled_from(["", "a", "B"]),
            st.booleans(),
        ),
        max_size=6,
    )
)
def test_a_request_is_good_where_each_item_is_and_none_is_doubled(items: list[AskedPermission]) -> None:
    def is_good(*some: AskedPermission) -> bool:
        try:
            read_permissions(some)
        except ParametersRefused:
            return False
        return True

    assert is_good(*items) is (all(map(is_good, items)) and len(set(items)) == len(items))


# --- what is then permitted


ONE, TWO, THREE = held("ops"), held("dev", namespace="a"), held("admin", "c2")


@pytest.mark.parametrize(
    ("mode", "named", "after"),
    [
        (Mode.APPLY, [], set()),
        (Mode.APPLY, [THREE], {THREE}),
        (Mode.PATCH, [], {ONE, TWO}),
        (Mode.PATCH, [ONE, THREE], {ONE, TWO, THREE}),
        (Mode.DELETE, [], {ONE, TWO}),
        (Mode.DELETE, [ONE, THREE], {TWO}),
    ],
)
def test_each_mode_leaves_what_it_says(mode: Mode, named: list[Permission], after: set[Permission]) -> None:
    assert permissions_after([ONE, TWO], mode, named) == after


def test_one_person_has_no_more_permissions_than_one_request_can_name() -> None:
    most = [held("dev", namespace=f"n{number}") for number in range(MOST_PERMISSIONS)]
    assert len(permissions_after(most[1:], Mode.PATCH, most[:2])) == MOST_PERMISSIONS
    with pytest.raises(ParametersRefused) as caught:
        permissions_after(most, Mode.PATCH, [held("ops")])
    assert caught.value.faults[0].text.startswith("makes it 501 permissions")


# --- who may grant what


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ([held("ops")], held("ops")),
        ([held("dev")], held("dev", namespace="a")),
        ([held("dev", "")], held("dev", "c9")),
        ([held("dev", "")], held("dev", "")),
        ([held("dev", namespace="a")], held("dev", namespace="a")),
        ([held("x", custom=True)], held("x", namespace="a", custom=True)),
        ([held("admin")], held("restricted", namespace="a")),
        ([held("admin", "")], held("admin", "c9")),
        ([held("ops", "c2"), held("admin")], held("dev")),
        *(([held("admin", "")], held(role, cluster)) for role in PREDEFINED_ROLES for cluster in ("", "c1")),
    ],
)
def test_who_holds_as_much_may_grant_it(own: list[Permission], wanted: Permission) -> None:
    assert covers(own, wanted)
    check_may_grant(own, [wanted])


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ([], held("restricted")),
        ([held("admin", "c2")], held("restricted")),
        ([held("admin")], held("restricted", "")),
        ([held("ops")], held("dev")),
        ([held("ops"), held("dev"), held("admin-view")], held("admin")),
        ([held("dev", namespace="a")], held("dev")),
        ([held("dev", namespace="a")], held("dev", namespace="b")),
        ([held("dev", "c2", "a")], held("dev", namespace="a")),
        ([held("admin", "")], held("view", custom=True)),
        ([held("admin", custom=True)], held("admin")),
        ([held("admin", custom=True)], held("dev")),
        ([held("ops")], held("ops", custom=True)),
        ([held("ops", custom=True)], held("ops")),
    ],
)
def test_nobody_grants_more_than_they_hold(own: list[Permission], wanted: Permission) -> None:
    assert not covers(own, wanted)
    with pytest.raises(GrantForbidden) as caught:
        check_may_grant([*own, held("restricted", "c7")], [held("restricted", "c7"), wanted])
    assert str(wanted) in caught.value.reason


def test_cluster_admin_is_granted_by_nobody_but_the_account() -> None:
    root = held("cluster-admin", custom=True)
    with pytest.raises(GrantForbidden) as caught:
        check_may_grant([root, held("admin", "")], [root])
    assert caught.value.reason.startswith("only the account itself grants the ClusterRole cluster-admin")


permissions = st.builds(
    Permission,
    st.sampled_from(["", "c1", "c2"]),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from([*PREDEFINED_ROLES, "x"]),
    st.booleans(),
)


@given(st.lists(permissions, max_size=4), permissions, permissions)
def test_what_was_granted_lets_nobody_grant_more(own: list[Permission], first: Permission, then: Permission) -> None:
    """A chain of grants never ends with more than its beginning held."""
    if covers(own, first) and covers([first], then):
        assert covers(own, then)


@pytest.mark.parametrize(
    ("own", "clusters"),
    [
        ([], set()),
        ([held("admin")], {"c1"}),
        ([held("admin", "")], {"c1", "c2", ""}),
        ([held("admin", custom=True), held("ops"), held("admin-view")], set()),
        ([held("admin", namespace="a")], set()),
    ],
)
def test_who_is_admin_of_which_cluster(own: list[Permission], clusters: set[str]) -> None:
    assert {one for one in ("c1", "c2", "") if is_admin_of(own, one)} == clusters


@pytest.mark.parametrize(
    ("own", "names"),
    [
        ([], []),
        ([held("ops", "c2"), held("dev", "c2", "z")], []),
        (
            [held("dev", namespace="b"), held("x", namespace="a", custom=True), held("restricted", namespace="b")],
            ["a", "b"],
        ),
        ([held("dev", namespace="b"), held("restricted")], None),
        ([held("dev", namespace="b"), held("restricted", "")], None),
    ],
)
def test_the_namespaces_of_somebody(own: Iterable[Permission], names: list[str] | None) -> None:
    assert namespaces_of(own, "c1") == names
