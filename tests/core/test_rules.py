"""RBAC rules: who may grant what, by Kubernetes' own algorithm; and the request that a rule lets somebody make."""

import pytest

from kubecustody.core.bindings import ROLE_TEMPLATES
from kubecustody.core.rules import (
    Part,
    ReadRequest,
    Rule,
    TooManyRules,
    find_read_request,
    find_uncovered,
    parts_beyond_defaults,
)


def rule(verbs: str, groups: str = "core", resources: str = "", names: str = "", paths: str = "") -> Rule:
    made = {"verbs": verbs.split()}
    if paths:
        return {**made, "nonResourceURLs": paths.split()}
    made |= {"apiGroups": ["" if one == "core" else one for one in groups.split()], "resources": resources.split()}
    return {**made, "resourceNames": names.split()} if names else made


EVERYTHING = [rule("*", "*", "*"), rule("*", paths="*")]


@pytest.mark.parametrize(
    ("held", "wanted", "lacks"),
    [
        # Cases of Kubernetes' own policy_comparator_test.go, and of what its documentation says.
        ([rule("get list", "core", "pods")], [rule("get", "core", "pods")], None),
        ([rule("get", "core", "pods")], [rule("get list", "core", "pods")], Part("list", "", "pods")),
        ([rule("get", "core", "pods"), rule("list", "core", "pods")], [rule("get list", "core", "pods")], None),
        ([rule("*", "core", "pods")], [rule("delete", "core", "pods")], None),
        ([rule("get", "core", "pods")], [rule("*", "core", "pods")], Part("*", "", "pods")),
        ([rule("get", "core", "*")], [rule("get", "core", "pods/log")], None),
        ([rule("get", "core", "pods")], [rule("get", "core", "pods/log")], Part("get", "", "pods/log")),
        ([rule("get", "core", "*/scale")], [rule("get", "core", "deployments/scale")], None),
        ([rule("get", "core", "*/scale")], [rule("get", "core", "deployments")], Part("get", "", "deployments")),
        ([rule("get", "core", "*/scale")], [rule("get", "core", "*")], Part("get", "", "*")),
        ([rule("get", "core", "pods/*")], [rule("get", "core", "pods/log")], Part("get", "", "pods/log")),
        ([rule("get", "*", "pods")], [rule("get", "metrics.k8s.io", "pods")], None),
        ([rule("get", "core", "pods")], [rule("get", "apps", "pods")], Part("get", "apps", "pods")),
        ([rule("get", "core", "secrets")], [rule("get", "core", "secrets", "one")], None),
        ([rule("get", "core", "secrets", "one")], [rule("get", "core", "secrets")], Part("get", "", "secrets")),
        ([rule("get", "core", "secrets", "one two")], [rule("get", "core", "secrets", "two")], None),
        (
            [rule("get", "core", "secrets", "one")],
            [rule("get", "core", "secrets", "one two")],
            Part("get", "", "secrets", "two"),
        ),
        ([rule("get", paths="/healthz/*")], [rule("get", paths="/healthz/etcd")], None),
        ([rule("get", paths="/healthz")], [rule("get", paths="/healthz/etcd")], Part("get", path="/healthz/etcd")),
        ([rule("get", paths="/apis*")], [rule("get", paths="/apis*")], None),
        ([rule("get", paths="*")], [rule("get", paths="/metrics")], None),
        ([rule("*", "*", "*")], [rule("get", paths="/metrics")], Part("get", path="/metrics")),
        (EVERYTHING, [rule("*", "*", "*"), rule("get", paths="/*")], None),
        ([], [rule("get", "core", "pods")], Part("get", "", "pods")),
        ([], [], None),
    ],
)
def test_each_part_must_be_covered_by_one_rule(held: list[Rule], wanted: list[Rule], lacks: Part | None) -> None:
    assert find_uncovered(held, wanted) == lacks


@pytest.mark.parametrize("role", ROLE_TEMPLATES)
def test_who_holds_a_predefined_role_may_grant_it_and_admin_may_grant_each(role: str) -> None:
    rules = ROLE_TEMPLATES[role].rules
    assert find_uncovered(rules, rules) is None
    assert find_uncovered(ROLE_TEMPLATES["admin"].rules, rules) is None
    if role != "admin":
        assert find_uncovered(rules, ROLE_TEMPLATES["admin"].rules) is not None


def test_rules_without_number_are_refused_rather_than_compared() -> None:
    many = [rule("get", "core", f"things{number}") for number in range(2000)]
    with pytest.raises(TooManyRules):
        find_uncovered(many[::-1], many)


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ([rule("*", "*", "*")], "/api/v1/namespaces/web/pods?limit=1"),
        ([rule("get list", "core", "configmaps")], "/api/v1/namespaces/web/configmaps?limit=1"),
        ([rule("get", "core", "secrets", "tls")], "/api/v1/namespaces/web/secrets/tls"),
        ([rule("get", "core", "pods")], "/api/v1/namespaces/web/pods/kubecustody"),
        ([rule("list", "apps", "deployments")], "/apis/apps/v1/namespaces/web/deployments?limit=1"),
        (
            [rule("list", "apps", "deployments"), rule("list", "core", "pods")],
            "/api/v1/namespaces/web/pods?limit=1",
        ),
        ([rule("create delete", "core", "pods")], None),
        ([rule("get", "core", "pods/log")], None),
        ([rule("get", paths="/metrics")], None),
    ],
)
def test_a_request_that_only_reads_is_found_in_a_roles_rules(rules: list[Rule], path: str | None) -> None:
    found = find_read_request(rules, "web")
    assert (None if found is None else found.path) == path


def test_in_the_whole_cluster_a_request_names_no_namespace() -> None:
    found = find_read_request([rule("list", "core", "nodes")], "")
    assert found == ReadRequest("list", "", "nodes", "")
    assert found.path == "/api/v1/nodes?limit=1"


def test_what_everybody_may_do_is_not_told_as_something_left() -> None:
    defaults = [
        rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        rule("get", paths="/healthz /livez /readyz /version /openapi/* /api/* /apis"),
    ]
    assert parts_beyond_defaults(defaults) == []
    assert parts_beyond_defaults([*defaults, rule("get", "core", "pods")]) == [Part("get", "", "pods")]
