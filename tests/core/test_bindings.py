"""What a cluster's bindings should be, what is done about those that are not, and when a credential is powerless."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubecustody.core.bindings import (
    ROLE_TEMPLATES,
    Clash,
    Create,
    Delete,
    Evidence,
    Grant,
    Plan,
    Replace,
    SeenBinding,
    Subject,
    WantedBinding,
    bare_uid_bindings,
    binding_name,
    bindings_that_reach,
    check_brake,
    decide_removal,
    hash_of,
    is_ours,
    plan,
    wanted_bindings,
    wide_bindings,
)
from kubecustody.core.permissions import PREDEFINED_ROLES

ACCOUNT, OTHER = "1000000000000001", "1000000000000002"
A, B = "200000000000000001", "200000000000000002"
A1, A2, B1 = f"{A}-1700000000111111111", f"{A}-1700000000222222222", f"{B}-1700000000333333333"

uids = st.sampled_from([A, B, "3" * 32])
namespaces = st.sampled_from(["", "a", "a-b", "cluster-admin", "custom", "dev", "restricted", "n" * 63])
role_names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._:-]{0,20}[A-Za-z0-9])?", fullmatch=True)
custom_roles = role_names | st.sampled_from(
    ["admin", "ops", "dev", "cluster-admin", "custom:x", "a:custom:x", "r" * 253, "r" * 252 + "s"]
)
grants = st.builds(
    lambda uid, namespace, role: Grant(uid, role[0], namespace, role[1]),
    uids,
    namespaces,
    st.tuples(st.sampled_from(PREDEFINED_ROLES), st.just(False)) | st.tuples(custom_roles, st.just(True)),
)
names = st.sampled_from([A1, A2, B1])
subject_lists = st.lists(names, max_size=3)
subjects_of_people = st.dictionaries(uids, subject_lists)


def as_seen(wanted: WantedBinding, **changed: Any) -> SeenBinding:
    """The wanted binding as a cluster has it, but for what is changed."""
    seen = SeenBinding(
        wanted.kind,
        wanted.namespace,
        wanted.name,
        f"uid-of-{wanted.name}",
        "7",
        "ClusterRole",
        wanted.role_name,
        wanted.subjects,
        dict(wanted.labels),
        ("kubecustody",),
    )
    return seen._replace(**changed)


def foreign(name: str = "theirs", role: str = "view", *subjects: Subject, **changed: Any) -> SeenBinding:
    seen = SeenBinding("ClusterRoleBinding", "", name, f"uid-of-{name}", "1", "ClusterRole", role, subjects, {})
    return seen._replace(**changed)


def user(name: str) -> Subject:
    return Subject("User", name)


def want(*given: Grant, **people: list[str]) -> tuple[WantedBinding, ...]:
    return wanted_bindings(given, people or {A: [A1], B: [B1]}, ACCOUNT)


def want_one(grant: Grant, *cns: str) -> WantedBinding:
    (one,) = wanted_bindings([grant], {grant.uid: cns or [A1]}, ACCOUNT)
    return one


def carried_out(made: Plan, seen: list[SeenBinding]) -> list[SeenBinding]:
    """The bindings after a plan, as an API server would have it: nothing is made over what is there."""
    after = {(one.kind, one.namespace, one.name): one for one in seen}
    for step in made.steps:
        if isinstance(step, Delete):
            assert after.pop(step.seen[:3]) == step.seen
        elif isinstance(step, Replace):
            before = after[step.wanted[:3]]
            assert step.resource_version == before.resource_version and before.role_name == step.wanted.role_name
            labels = {**before.labels, **step.wanted.labels}
            after[step.wanted[:3]] = before._replace(subjects=step.wanted.subjects, labels=labels)
        else:
            assert step.wanted[:3] not in after
            after[step.wanted[:3]] = as_seen(step.wanted)
    return list(after.values())


# --- roles


def test_every_predefined_role_has_a_cluster_role_of_its_own() -> None:
    assert tuple(ROLE_TEMPLATES) == PREDEFINED_ROLES
    assert {role: template.cluster_role for role, template in ROLE_TEMPLATES.items()} == {
        "admin": "cs:admin",
        "admin-view": "cs:admin:view",
        "ops": "cs:ops",
        "dev": "cs:ns:dev",
        "restricted": "cs:ns:restricted",
    }


def allows(role: str, verb: str, group: str, resource: str) -> bool:
    """As Kubernetes reads rules: a resource with its subresource is a name of its own, * is every one."""
    return any(
        {verb, "*"} & {*rule["verbs"]}
        and {group, "*"} & {*rule.get("apiGroups", ())}
        and {resource, "*"} & {*rule.get("resources", ())}
        for rule in ROLE_TEMPLATES[role].rules
    )


@pytest.mark.parametrize(
    ("verb", "group", "resource", "roles"),
    [
        ("get", "", "pods", {"admin", "admin-view", "ops", "dev", "restricted"}),
        ("get", "", "pods/log", {"admin", "admin-view", "ops", "dev", "restricted"}),
        ("list", "apps", "deployments", {"admin", "admin-view", "ops", "dev", "restricted"}),
        ("create", "apps", "deployments", {"admin", "ops", "dev"}),
        ("delete", "", "pods", {"admin", "ops", "dev"}),
        ("get", "", "secrets", {"admin", "ops", "dev"}),
        ("list", "", "secrets", {"admin", "ops", "dev"}),
        ("watch", "", "secrets", {"admin", "ops", "dev"}),
        # Reading these is enough to run commands, by way of a web socket.
        ("get", "", "pods/exec", {"admin", "ops", "dev"}),
        ("get", "", "pods/attach", {"admin", "ops", "dev"}),
        ("get", "", "pods/portforward", {"admin", "ops", "dev"}),
        ("get", "", "nodes/proxy", {"admin"}),
        ("get", "", "nodes", {"admin", "admin-view", "ops"}),
        ("get", "storage.k8s.io", "storageclasses", {"admin", "admin-view", "ops"}),
        ("update", "", "nodes", {"admin"}),
        ("get", "rbac.authorization.k8s.io", "clusterrolebindings", {"admin", "admin-view"}),
        ("create", "rbac.authorization.k8s.io", "rolebindings", {"admin"}),
        ("escalate", "rbac.authorization.k8s.io", "clusterroles", {"admin"}),
        ("update", "certificates.k8s.io", "certificatesigningrequests/approval", {"admin"}),
        ("impersonate", "", "users", {"admin"}),
        ("impersonate", "", "serviceaccounts", {"admin", "dev"}),
        ("create", "", "serviceaccounts/token", {"admin", "dev"}),
        ("get", "example.org", "widgets", {"admin"}),
    ],
)
def test_what_each_role_allows(verb: str, group: str, resource: str, roles: set[str]) -> None:
    assert {role for role in ROLE_TEMPLATES if allows(role, verb, group, resource)} == roles


def test_rules_are_plain_data_that_kubernetes_takes() -> None:
    """A rule is for resources with their groups, or for paths, and never for both (Kubernetes, ClusterRole)."""
    for template in ROLE_TEMPLATES.values():
        for rule in template.rules:
            assert set(rule) in ({"apiGroups", "resources", "verbs"}, {"nonResourceURLs", "verbs"})
            assert all(isinstance(value, list) and value == list(dict.fromkeys(value)) for value in rule.values())


# --- names


@pytest.mark.parametrize(
    ("grant", "name"),
    [
        (Grant(A, "admin"), f"{A}-cluster-admin-clusterrolebinding"),
        (Grant(A, "ops"), f"{A}-clusterrolebinding"),
        (Grant(A, "dev"), f"{A}-dev-clusterrolebinding"),
        (Grant(A, "admin-view"), f"{A}-admin-view-clusterrolebinding"),
        (Grant(A, "dev", "team"), f"{A}-team-rolebinding"),
        (Grant(A, "restricted", "team"), f"{A}-team:restricted-rolebinding"),
        (Grant(A, "view", "team", True), f"{A}-team:custom:view-rolebinding"),
        (Grant(A, "view", "", True), f"{A}-custom:view-clusterrolebinding"),
    ],
)
def test_names_are_the_providers_where_those_tell_grants_apart(grant: Grant, name: str) -> None:
    assert binding_name(*grant) == name


@settings(max_examples=300)
@given(st.lists(grants, unique=True, max_size=30))
def test_no_two_grants_have_the_same_name(given_: list[Grant]) -> None:
    made = [binding_name(*grant) for grant in given_]
    assert len(set(made)) == len(made)
    for grant, name in zip(given_, made, strict=True):
        assert len(name) <= 253 and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:-]*[A-Za-z0-9]", name)
        assert name.startswith(f"{grant.uid}-") and name.endswith("rolebinding")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Grant(A, "dev", "restricted"), Grant(A, "restricted", "restricted")),
        (Grant(A, "ops", "", True), Grant(A, "ops")),
        (Grant(A, "dev", "a", True), Grant(A, "dev", "a")),
        (Grant(A, "b", "a-custom", True), Grant(A, "custom:b", "a", True)),
        (Grant(A, "a:custom:b", "", True), Grant(A, "b", "a", True)),
        (Grant(A, "r" * 253, "a", True), Grant(A, "r" * 253, "b", True)),
        (Grant(A, "r" * 253, "", True), Grant(A, "r" * 252 + "s", "", True)),
        (Grant("2", "x" * 253, "", True), Grant("22", "x" * 253, "", True)),
    ],
)
def test_names_that_could_be_mistaken_for_one_another_are_not(one: Grant, other: Grant) -> None:
    assert binding_name(*one) != binding_name(*other)


# --- what is wanted


def test_a_binding_names_the_current_credentials_of_one_person() -> None:
    (made,) = wanted_bindings([Grant(A, "dev", "team")], {A: [A2, A1, A2], B: [B1]}, ACCOUNT)
    assert made == WantedBinding(
        "RoleBinding",
        "team",
        f"{A}-team-rolebinding",
        "cs:ns:dev",
        (Subject("User", A1), Subject("User", A2)),
        {"app.kubernetes.io/managed-by": "kubecustody", "kubecustody.io/account": ACCOUNT, "kubecustody.io/uid": A},
    )


def test_a_custom_role_is_bound_by_its_own_name() -> None:
    made = want_one(Grant(A, "view", "", True))
    assert (made.kind, made.role_name) == ("ClusterRoleBinding", "view")


def test_who_has_no_current_credential_has_no_binding() -> None:
    given_ = [Grant(A, "ops"), Grant(B, "ops"), Grant("299", "ops")]
    assert [one.labels["kubecustody.io/uid"] for one in wanted_bindings(given_, {A: [A1], B: []}, ACCOUNT)] == [A]


def test_a_grant_that_is_given_twice_is_one_binding() -> None:
    """For all clusters, and for this one beside it."""
    assert len(want(Grant(A, "ops"), Grant(A, "ops"))) == 1


@given(st.lists(grants, max_size=8), subjects_of_people)
def test_nobody_is_bound_without_a_grant_and_a_credential(given_: list[Grant], people: Mapping[str, list[str]]) -> None:
    made = wanted_bindings(given_, people, ACCOUNT)
    assert list(made) == sorted(made, key=lambda one: one[:3])
    assert len({one[:3] for one in made}) == len(made)
    bound = {(one.labels["kubecustody.io/uid"], one.namespace, subject) for one in made for subject in one.subjects}
    assert bound == {(one.uid, one.namespace, user(cn)) for one in given_ for cn in people.get(one.uid, ())}
    for one in made:
        assert list(one.subjects) == sorted(set(one.subjects)) and one.subjects


# --- the plan


def test_nothing_is_done_where_all_is_as_wanted() -> None:
    wanted = want(Grant(A, "ops"), Grant(B, "dev", "team"))
    seen = [as_seen(one, subjects=one.subjects[::-1], labels={**one.labels, "team": "x"}) for one in wanted]
    assert plan(wanted, [*seen, foreign()], ACCOUNT) == Plan(ACCOUNT, ())


def test_what_is_missing_is_made() -> None:
    (one,) = wanted = want(Grant(A, "ops"))
    assert plan(wanted, [], ACCOUNT).steps == (Create(one),)


@pytest.mark.parametrize(
    "changed",
    [
        {"subjects": ()},
        {"subjects": (user(A2),)},
        {"subjects": (user(A1), user(A2))},
        {"subjects": (user(A1), Subject("Group", "system:users"))},
        {"subjects": (Subject("Group", A1),)},
        {"subjects": (Subject("ServiceAccount", A1, "default"),)},
    ],
)
def test_what_was_changed_by_others_is_put_right(changed: dict[str, Any]) -> None:
    one = want_one(Grant(A, "ops"))
    (step,) = plan([one], [as_seen(one, **changed)], ACCOUNT).steps
    assert isinstance(step, Replace)
    assert (step.wanted, step.resource_version) == (one, "7")


def test_a_label_that_was_taken_off_is_put_back() -> None:
    one = want_one(Grant(A, "ops"))
    labels = {name: value for name, value in one.labels.items() if name != "kubecustody.io/uid"}
    assert isinstance(plan([one], [as_seen(one, labels=labels)], ACCOUNT).steps[0], Replace)


def test_what_is_not_wanted_any_more_is_deleted() -> None:
    seen = as_seen(want_one(Grant(A, "ops")))
    assert plan([], [seen], ACCOUNT).steps == (Delete(seen),)


@pytest.mark.parametrize("changed", [{"role_name": "cluster-admin"}, {"role_kind": "Role"}])
def test_another_role_is_deleted_and_then_made_anew(changed: dict[str, str]) -> None:
    one = want_one(Grant(A, "dev", "team"))
    seen = as_seen(one, **changed)
    assert plan([one], [seen], ACCOUNT).steps == (Delete(seen), Create(one))


STRANGERS: list[dict[str, str]] = [
    {},
    {"app.kubernetes.io/managed-by": "Helm", "kubecustody.io/account": ACCOUNT},
    {"app.kubernetes.io/managed-by": "kubecustody"},
    {"kubecustody.io/account": ACCOUNT},
    {"app.kubernetes.io/managed-by": "kubecustody", "kubecustody.io/account": OTHER},
]


@pytest.mark.parametrize("labels", STRANGERS)
def test_a_foreign_binding_of_the_same_name_is_told_and_left_alone(labels: dict[str, str]) -> None:
    one = want_one(Grant(A, "ops"))
    seen = as_seen(one, labels=labels, subjects=())
    assert plan([one], [seen], ACCOUNT) == Plan(ACCOUNT, (), (Clash(one, seen),))
    assert plan([], [seen], ACCOUNT) == Plan(ACCOUNT, ())


label_sets = st.sampled_from(
    [*STRANGERS, {"app.kubernetes.io/managed-by": "kubecustody", "kubecustody.io/account": ACCOUNT}]
)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[tuple[WantedBinding, ...], list[SeenBinding]]:
    """What is wanted, and a cluster that has some of it, some other, and some changed."""
    wanted = wanted_bindings(draw(st.lists(grants, max_size=6)), draw(subjects_of_people), ACCOUNT)
    others = wanted_bindings(draw(st.lists(grants, max_size=6)), draw(subjects_of_people), ACCOUNT)
    seen = {}
    for one in (*wanted, *others):
        if draw(st.booleans()):
            changes: dict[str, Any] = {}
            if draw(st.booleans()):
                changes["labels"] = draw(label_sets)
            if draw(st.booleans()):
                changes["role_name"] = draw(st.sampled_from(["cs:admin", "view"]))
            if draw(st.booleans()):
                changes["subjects"] = tuple(map(user, draw(subject_lists)))
            seen[one[:3]] = as_seen(one, **changes)
    return wanted, list(seen.values())


@given(clusters())
def test_a_plan_once_carried_out_leaves_nothing_to_do(
    cluster: tuple[tuple[WantedBinding, ...], list[SeenBinding]],
) -> None:
    wanted, seen = cluster
    made = plan(wanted, seen, ACCOUNT)
    after = carried_out(made, seen)
    assert plan(wanted, after, ACCOUNT) == Plan(ACCOUNT, (), made.clashes)
    clashing = {clash.wanted[:3] for clash in made.clashes}
    held = {one[:3]: set(one.subjects) for one in after if is_ours(one, ACCOUNT)}
    assert held == {one[:3]: set(one.subjects) for one in wanted if one[:3] not in clashing}


@given(clusters())
def test_what_is_not_ours_is_never_touched(cluster: tuple[tuple[WantedBinding, ...], list[SeenBinding]]) -> None:
    wanted, seen = cluster
    after = carried_out(plan(wanted, seen, ACCOUNT), seen)
    assert [one for one in seen if not is_ours(one, ACCOUNT)] == [one for one in after if not is_ours(one, ACCOUNT)]


@given(clusters(), st.randoms())
def test_the_hash_is_of_what_is_done_and_not_of_its_order(
    cluster: tuple[tuple[WantedBinding, ...], list[SeenBinding]], random: Any
) -> None:
    wanted, seen = cluster
    made = plan(wanted, seen, ACCOUNT)
    mixed = [one._replace(resource_version="8", subjects=one.subjects[::-1]) for one in seen]
    random.shuffle(mixed)
    again = plan(random.sample(wanted, len(wanted)), mixed, ACCOUNT)
    assert hash_of(again) == hash_of(made)
    steps, clashes = (tuple(random.sample(part, len(part))) for part in (made.steps, made.clashes))
    assert hash_of(Plan(ACCOUNT, steps, clashes)) == hash_of(made)
    if made.steps:
        assert hash_of(made._replace(steps=made.steps[1:])) != hash_of(made)
    if made.clashes:
        assert hash_of(made._replace(clashes=())) != hash_of(made)


def test_plans_that_do_different_things_have_different_hashes() -> None:
    one = want_one(Grant(A, "ops"))
    plans = [
        plan([], [], ACCOUNT),
        plan([], [], OTHER),
        plan([one], [], ACCOUNT),
        plan([want_one(Grant(A, "ops"), A2)], [], ACCOUNT),
        plan([want_one(Grant(A, "dev"))], [], ACCOUNT),
        plan([one], [as_seen(one, subjects=())], ACCOUNT),
        plan([one], [as_seen(one, subjects=(user(B1),))], ACCOUNT),
        plan([one], [as_seen(one, role_name="x")], ACCOUNT),
        plan([], [as_seen(one)], ACCOUNT),
        plan([], [as_seen(one, uid="another")], ACCOUNT),
        plan([one], [as_seen(one, labels={})], ACCOUNT),
    ]
    assert len({*map(hash_of, plans)}) == len(plans)
    assert all(re.fullmatch(r"[0-9a-f]{64}", hash_of(one)) for one in plans)


# --- the brake


def many(count: int) -> list[SeenBinding]:
    """So many bindings of ours, each of another person."""
    made = []
    for number in range(count):
        uid = f"2{number:017d}"
        made.append(as_seen(want_one(Grant(uid, "dev", "team"), f"{uid}-1")))
    return made


def brake_when_gone(seen: list[SeenBinding], gone: int, removals: set[str] = frozenset()) -> str | None:  # type: ignore[assignment]
    deletes = tuple(Delete(one) for one in seen[:gone])
    return check_brake(Plan(ACCOUNT, deletes), [*seen, *(foreign(f"theirs-{n}") for n in range(100))], removals)


@pytest.mark.parametrize(("ours", "gone"), [(5, 1), (10, 2), (50, 10), (1000, 10), (0, 0), (1, 0)])
def test_a_few_may_go(ours: int, gone: int) -> None:
    assert brake_when_gone(many(ours), gone) is None


@pytest.mark.parametrize(
    ("ours", "gone", "words"),
    [(1, 1, "1 of 1"), (4, 1, "20 %"), (9, 2, "2 of 9"), (50, 11, "11 bindings"), (1000, 11, "10 is the most")],
)
def test_many_may_not_go_unconfirmed(ours: int, gone: int, words: str) -> None:
    assert words in (brake_when_gone(many(ours), gone) or "")


def test_what_follows_from_recorded_removals_never_counts() -> None:
    seen = many(30)
    over = {subject.name for one in seen for subject in one.subjects}
    assert brake_when_gone(seen, 30, over) is None
    over -= {seen[0].subjects[0].name}
    assert brake_when_gone(seen, 30, over) is None
    assert brake_when_gone(seen, 30, {one for one in over if int(one[1:18]) >= 11}) is not None


def test_who_is_taken_out_of_a_binding_counts_as_one_that_goes() -> None:
    one = want_one(Grant(A, "ops"))
    for subjects in ((user(A1), user(A2)), (user(A1), Subject("Group", "team"))):
        seen = as_seen(one, subjects=subjects)
        made = plan([one], [seen], ACCOUNT)
        assert "1 of 1" in (check_brake(made, [seen], set()) or "")
    # Taken out because their removal is recorded; a group is nobody's removal.
    seen = as_seen(one, subjects=(user(A1), user(A2)))
    assert check_brake(plan([one], [seen], ACCOUNT), [seen], {A2}) is None
    seen = as_seen(one, subjects=(user(A1), Subject("Group", A2)))
    assert check_brake(plan([one], [seen], ACCOUNT), [seen], {A2}) is not None


def test_who_is_put_into_a_binding_does_not_count() -> None:
    one = want_one(Grant(A, "ops"), A1, A2)
    seen = as_seen(one, subjects=(user(A1),))
    assert check_brake(plan([one], [seen], ACCOUNT), [seen], set()) is None
    assert check_brake(plan([one], [], ACCOUNT), [], set()) is None


def test_a_binding_made_anew_with_another_role_takes_the_old_one_away() -> None:
    one = want_one(Grant(A, "dev", "team"))
    seen = as_seen(one, role_name="something-more")
    assert check_brake(plan([one], [seen], ACCOUNT), [seen], set()) is not None


def test_the_last_binding_to_admin_does_not_go_unconfirmed() -> None:
    first, second = as_seen(want_one(Grant(A, "admin"))), as_seen(want_one(Grant(B, "admin"), B1))
    others = many(40)
    for both, gone in (([first], [first]), ([first, second], [first, second])):
        made = Plan(ACCOUNT, tuple(map(Delete, gone)))
        assert "cs:admin" in (check_brake(made, [*both, *others], set()) or "")
    assert check_brake(Plan(ACCOUNT, (Delete(first),)), [first, second, *others], set()) is None
    # Where another is made, one remains; where the person was removed, it goes.
    made_anew = Plan(ACCOUNT, (Delete(first), Create(want_one(Grant(B, "admin"), B1))))
    assert check_brake(made_anew, [first, *others], set()) is None
    assert check_brake(Plan(ACCOUNT, (Delete(first),)), [first, *others], {A1}) is None
    # What others bound is not ours to count on.
    theirs = foreign("theirs", "cs:admin", user("somebody"))
    assert check_brake(Plan(ACCOUNT, (Delete(first),)), [first, theirs, *others], set()) is not None


# --- the binding scan


def test_bindings_reach_by_name_by_each_group_and_by_being_authenticated() -> None:
    users, everybody = Subject("Group", "system:users"), Subject("Group", "system:authenticated")
    by_name = foreign("by-name", "view", user("x"), user(A1))
    by_group = foreign("by-group", "view", users, user(A1))
    by_all = foreign("by-all", "view", everybody)
    in_namespace = foreign("in", "view", user(A1), kind="RoleBinding", namespace="team")
    not_at_all = foreign(
        "not",
        "view",
        user(A),
        user(A2),
        user(A1.upper() + "x"),
        user("system:users"),
        Subject("Group", A1),
        Subject("Group", "system:unauthenticated"),
        Subject("Group", "System:users"),
        Subject("ServiceAccount", A1, "default"),
        user("*"),
        Subject("Group", "*"),
    )
    found = bindings_that_reach(A1, ["system:users"], [by_name, not_at_all, by_group, by_all, in_namespace])
    assert found == [
        (by_name, user(A1)),
        (by_group, users),
        (by_group, user(A1)),
        (by_all, everybody),
        (in_namespace, user(A1)),
    ]
    assert bindings_that_reach(A1, [], [by_all]) == [(by_all, everybody)]
    assert bindings_that_reach(A1, [], [not_at_all]) == []


def test_a_service_account_is_reached_by_the_user_name_that_it_has() -> None:
    named = foreign("named", "view", Subject("ServiceAccount", "robot", "team"))
    implied = foreign("implied", "view", Subject("ServiceAccount", "robot"), kind="RoleBinding", namespace="team")
    found = bindings_that_reach("system:serviceaccount:team:robot", [], [named, implied])
    assert [binding for binding, _ in found] == [named, implied]


def test_bindings_to_a_uid_without_more_are_found() -> None:
    bare = foreign("bare", "view", user(A1), user(A), user("alice"), Subject("Group", A))
    assert bare_uid_bindings([bare, foreign("other", "view", user(A1))]) == [(bare, user(A))]


def test_bindings_to_everybody_are_found_but_for_kubernetes_own() -> None:
    users, everybody = Subject("Group", "system:users"), Subject("Group", "system:authenticated")
    own = [
        foreign(role, role, everybody, Subject("Group", "system:unauthenticated"))
        for role in ("system:basic-user", "system:discovery", "system:public-info-viewer")
    ]
    wide = foreign("wide", "view", users, everybody, user(A1), Subject("User", "system:users"))
    more = foreign("more", "system:basic-user", users)
    role = foreign("role", "system:discovery", everybody, role_kind="Role", kind="RoleBinding", namespace="a")
    assert wide_bindings([*own, wide, more, role]) == [
        (wide, users),
        (wide, everybody),
        (more, users),
        (role, everybody),
    ]


# --- evidence

ONE, TWO = "10.0.0.1:6443", "10.0.0.2:6443"
SCAN = Evidence("binding_scan", "", "refused")
REVIEW = Evidence("access_review", "", "refused")
USED_ONE, USED_TWO = Evidence("used", ONE, "refused"), Evidence("used", TWO, "refused")
CA = Evidence("ca_gone", "", "refused")


def decide(*evidence: Evidence, **facts: Any) -> tuple[bool, tuple[str, ...]]:
    usual: dict[str, Any] = {
        "api_servers": [ONE, TWO],
        "key_kept": True,
        "was_ever_allowed": True,
        "masters": False,
    }
    verdict = decide_removal(evidence, **{**usual, **facts})
    assert verdict.removed is (not verdict.missing)
    assert verdict.text.endswith(".") and all(one in verdict.text or facts.get("masters") for one in verdict.missing)
    return verdict.removed, verdict.missing


NO_USE: list[dict[str, bool]] = [
    {"key_kept": False},
    {"was_ever_allowed": False},
    {"key_kept": False, "was_ever_allowed": False},
]


def test_removed_is_what_no_binding_reaches_and_every_api_server_refuses() -> None:
    assert decide(SCAN, USED_ONE, USED_TWO) == (True, ())
    assert decide(SCAN, USED_ONE, USED_TWO, REVIEW._replace(outcome="unproven")) == (True, ())


@pytest.mark.parametrize(
    ("evidence", "missing"),
    [
        ([], ("binding_scan", f"used on {ONE}", f"used on {TWO}")),
        ([SCAN, USED_ONE], (f"used on {TWO}",)),
        ([SCAN, USED_TWO], (f"used on {ONE}",)),
        ([USED_ONE, USED_TWO], ("binding_scan",)),
        ([USED_ONE, USED_TWO, SCAN._replace(outcome="allowed")], ("binding_scan",)),
        ([SCAN, USED_ONE, USED_TWO._replace(outcome="unproven")], (f"used on {TWO}",)),
        ([SCAN, USED_ONE._replace(outcome="allowed"), USED_TWO], (f"used on {ONE}",)),
        ([SCAN, USED_ONE, USED_ONE._replace(outcome="allowed"), USED_TWO], (f"used on {ONE}",)),
        ([SCAN, USED_ONE._replace(api_server="")], (f"used on {ONE}", f"used on {TWO}")),
        ([SCAN, SCAN._replace(api_server=TWO, outcome="unproven"), USED_ONE, USED_TWO], (f"binding_scan on {TWO}",)),
        # An access review does not stand for a use that can be made.
        ([SCAN, REVIEW], (f"used on {ONE}", f"used on {TWO}")),
    ],
)
def test_what_is_unproven_anywhere_is_named(evidence: list[Evidence], missing: tuple[str, ...]) -> None:
    assert decide(*evidence) == (False, missing)


def test_that_no_api_server_is_declared_proves_nothing() -> None:
    removed, missing = decide(SCAN, REVIEW, USED_ONE, api_servers=[])
    assert not removed and missing == ("used (no API server is declared)",)


@pytest.mark.parametrize("facts", NO_USE)
def test_an_access_review_stands_for_a_use_that_cannot_be_made_or_would_say_nothing(facts: dict[str, bool]) -> None:
    assert decide(SCAN, REVIEW, **facts) == (True, ())
    assert decide(SCAN, USED_ONE, USED_TWO, **facts) == (False, ("access_review",))
    assert decide(REVIEW, **facts) == (False, ("binding_scan",))
    assert decide(**facts) == (False, ("binding_scan", "access_review"))
    for outcome in ("allowed", "unproven"):
        assert decide(SCAN, REVIEW._replace(outcome=outcome), **facts) == (False, ("access_review",))
        other = Evidence("access_review", TWO, outcome)
        assert decide(SCAN, REVIEW, other, **facts) == (False, (f"access_review on {TWO}",))


def test_a_use_that_is_allowed_stands_against_an_access_review() -> None:
    allowed = USED_ONE._replace(outcome="allowed")
    assert decide(SCAN, REVIEW, allowed, was_ever_allowed=False) == (False, (f"used on {ONE}",))
    # Without the key it can never be made again, and is of before.
    assert decide(SCAN, REVIEW, allowed, key_kept=False) == (True, ())


@pytest.mark.parametrize("masters", [False, True])
def test_a_ca_that_is_gone_is_enough(masters: bool) -> None:
    assert decide(CA, masters=masters) == (True, ())
    assert decide(CA, SCAN._replace(outcome="allowed"), masters=masters, api_servers=[]) == (True, ())
    by_server = [Evidence("ca_gone", ONE, "refused"), Evidence("ca_gone", TWO, "refused")]
    assert decide(*by_server, masters=masters) == (True, ())
    assert not decide(by_server[0], masters=masters)[0]
    assert not decide(CA, by_server[0]._replace(outcome="unproven"), masters=masters)[0]


@pytest.mark.parametrize("outcome", ["allowed", "unproven"])
def test_a_ca_that_is_not_gone_proves_nothing(outcome: str) -> None:
    ca = CA._replace(outcome=outcome)
    assert not decide(ca)[0]
    assert decide(ca, SCAN, USED_ONE, USED_TWO) == (True, ())


def test_nothing_but_the_ca_ends_a_member_of_system_masters() -> None:
    for facts in ({}, *NO_USE):
        assert decide(SCAN, REVIEW, USED_ONE, USED_TWO, masters=True, **facts) == (False, ("ca_gone",))


evidences = st.builds(
    Evidence,
    st.sampled_from(["binding_scan", "access_review", "used", "ca_gone"]),
    st.sampled_from(["", ONE, TWO]),
    st.sampled_from(["refused", "allowed", "unproven"]),
)


@given(
    st.lists(evidences, max_size=8, unique_by=lambda one: one[:2]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([[], [ONE], [ONE, TWO]]),
)
def test_nothing_is_removed_without_a_scan_or_the_ca(
    facts: list[Evidence], key_kept: bool, was_ever_allowed: bool, api_servers: list[str]
) -> None:
    removed, _ = decide(*facts, key_kept=key_kept, was_ever_allowed=was_ever_allowed, api_servers=api_servers)
    refused = {one[:2] for one in facts if one.outcome == "refused"}
    if removed:
        kinds = {kind for kind, _ in refused}
        assert "ca_gone" in kinds or "binding_scan" in kinds
        if "ca_gone" not in kinds and key_kept and was_ever_allowed:
            assert api_servers and {("used", server) for server in api_servers} <= refused
    worse = [one._replace(outcome="unproven") for one in facts]
    assert not decide(*worse, key_kept=key_kept, was_ever_allowed=was_ever_allowed, api_servers=api_servers)[0]
