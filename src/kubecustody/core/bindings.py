"""Bindings: what a cluster's RBAC should hold for people, what it holds, and what is to be done about the difference.

A person is permitted through the User names (CNs) of their current credentials, each a subject of its own: without its
subject that one credential is powerless (Kubernetes, "Using RBAC Authorization", read 2026-11-24). Nothing here asks a
cluster: what was seen comes in, and a plan goes out.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kubecustody.core.names import is_uid
from kubecustody.core.rules import Rule, parts_of

CLUSTER_ROLE_BINDING = "ClusterRoleBinding"
ROLE_BINDING = "RoleBinding"
CLUSTER_ROLE = "ClusterRole"
USER = "User"
GROUP = "Group"
SERVICE_ACCOUNT = "ServiceAccount"

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
ACCOUNT_LABEL = "kubecustody.io/account"
UID_LABEL = "kubecustody.io/uid"
MANAGER = "kubecustody"

USERS_GROUP = "system:users"
AUTHENTICATED_GROUP = "system:authenticated"

_LONGEST_NAME = 253
_MOST_LOSSES = 10
_MOST_LOST_PERCENT = 20
_MOST_TOLD = 20
_LONGEST_MANAGER = 63
_MOST_MANAGERS = 3


class Subject(NamedTuple):
    """Whom a binding names. kind: User, Group or ServiceAccount; namespace: of a ServiceAccount, else ""."""

    kind: str
    name: str
    namespace: str = ""


class SeenBinding(NamedTuple):
    """A binding as a cluster has it.

    kind: ClusterRoleBinding or RoleBinding; namespace: of a RoleBinding, else ""; role_kind: ClusterRole or Role;
    managers: who wrote its fields, by the names that they gave.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    role_kind: str
    role_name: str
    subjects: tuple[Subject, ...]
    labels: Mapping[str, str]
    managers: tuple[str, ...] = ()


class Grant(NamedTuple):
    """What one person is permitted in one cluster, whether by a grant for it alone or for all clusters.

    role: a predefined role, or with is_custom the name of a ClusterRole; namespace: "" for the whole cluster.
    """

    uid: str
    role: str
    namespace: str = ""
    is_custom: bool = False


class WantedBinding(NamedTuple):
    """A binding as a cluster should have it. Its role is always a ClusterRole; subjects are sorted."""

    kind: str
    namespace: str
    name: str
    role_name: str
    subjects: tuple[Subject, ...]
    labels: Mapping[str, str]


# --- roles


class RoleTemplate(NamedTuple):
    """A predefined role: the ClusterRole that stands for it, and the rules of that."""

    cluster_role: str
    rules: tuple[Rule, ...]


def _rule(groups: str, resources: str, verbs: str) -> Rule:
    """A rule from words; "core" is the group without a name."""
    return {
        "apiGroups": ["" if group == "core" else group for group in groups.split()],
        "resources": resources.split(),
        "verbs": verbs.split(),
    }


_READ = "get list watch"
_WRITE = "create delete deletecollection patch update"

# As Kubernetes' own ClusterRole view: no secrets, no roles or bindings, nothing that reaches into a pod.
_VIEW: tuple[Rule, ...] = (
    _rule(
        "core",
        "bindings configmaps endpoints events limitranges namespaces namespaces/status persistentvolumeclaims "
        "persistentvolumeclaims/status pods pods/log pods/status replicationcontrollers replicationcontrollers/scale "
        "replicationcontrollers/status resourcequotas resourcequotas/status serviceaccounts services services/status",
        _READ,
    ),
    _rule("discovery.k8s.io", "endpointslices", _READ),
    _rule(
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status "
        "replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
        _READ,
    ),
    _rule("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", _READ),
    _rule("batch", "cronjobs cronjobs/status jobs jobs/status", _READ),
    _rule("policy", "poddisruptionbudgets poddisruptionbudgets/status", _READ),
    _rule("networking.k8s.io", "ingresses ingresses/status networkpolicies", _READ),
    _rule("metrics.k8s.io", "pods", _READ),
)

# What view and ops lack of Kubernetes' ClusterRole edit: what runs, and all that it is made of.
_CHANGE: tuple[Rule, ...] = (
    _rule("core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", _READ),
    _rule(
        "core",
        "configmaps events persistentvolumeclaims pods pods/attach pods/exec pods/portforward pods/proxy "
        "replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy",
        _WRITE,
    ),
    _rule("core", "pods/eviction", "create"),
    _rule(
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
        "statefulsets/scale",
        _WRITE,
    ),
    _rule("autoscaling", "horizontalpodautoscalers", _WRITE),
    _rule("batch", "cronjobs jobs", _WRITE),
    _rule("policy", "poddisruptionbudgets", _WRITE),
    _rule("networking.k8s.io", "ingresses networkpolicies", _WRITE),
    _rule("coordination.k8s.io", "leases", f"{_READ} {_WRITE}"),
)

# Groups whose every resource is harmless to read; a group that is not named here is read by nobody but admins.
_READABLE_GROUPS = (
    "admissionregistration.k8s.io apiextensions.k8s.io apiregistration.k8s.io apps autoscaling batch "
    "certificates.k8s.io coordination.k8s.io discovery.k8s.io events.k8s.io flowcontrol.apiserver.k8s.io "
    "gateway.networking.k8s.io metrics.k8s.io networking.k8s.io node.k8s.io policy rbac.authorization.k8s.io "
    "resource.k8s.io scheduling.k8s.io snapshot.storage.k8s.io storage.k8s.io"
)

# The provider's names (its page on the synchronisation of role templates, read 2026-11-24); that of restricted and of
# admin-view are not told there. Rules are ours. RBAC has no "all but": since admin-view is to read neither secrets nor
# what runs in a pod (reading pods/exec is enough to enter one), it names what it reads, and custom resources are not
# among that.
ROLE_TEMPLATES: Mapping[str, RoleTemplate] = {
    "admin": RoleTemplate("cs:admin", (_rule("*", "*", "*"), {"nonResourceURLs": ["*"], "verbs": ["*"]})),
    "admin-view": RoleTemplate(
        "cs:admin:view",
        (
            *_VIEW,
            _rule("core", "componentstatuses nodes nodes/status persistentvolumes persistentvolumes/status", _READ),
            _rule("core", "podtemplates", _READ),
            _rule(_READABLE_GROUPS, "*", _READ),
            {"nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/metrics", "/version"], "verbs": ["get"]},
        ),
    ),
    "ops": RoleTemplate(
        "cs:ops",
        (
            *_VIEW,
            *_CHANGE,
            _rule("core", "nodes nodes/status persistentvolumes persistentvolumes/status", _READ),
            _rule("metrics.k8s.io", "nodes", _READ),
            _rule("scheduling.k8s.io", "priorityclasses", _READ),
            _rule("storage.k8s.io", "csidrivers csinodes storageclasses volumeattachments", _READ),
        ),
    ),
    "dev": RoleTemplate(
        "cs:ns:dev",
        (
            *_VIEW,
            *_CHANGE,
            _rule("core", "serviceaccounts", "impersonate"),
            _rule("core", "serviceaccounts/token", "create"),
        ),
    ),
    "restricted": RoleTemplate("cs:ns:restricted", _VIEW),
}
ADMIN_CLUSTER_ROLE = ROLE_TEMPLATES["admin"].cluster_role


def cluster_role_of(role: str, *, is_custom: bool) -> str:
    """The ClusterRole that a grant's role stands for. KeyError where there is no such predefined role."""
    return role if is_custom else ROLE_TEMPLATES[role].cluster_role


def find_template_fault(role: str, rules: Iterable[Rule] | None) -> str | None:
    """What is wrong with a cluster's ClusterRole of a predefined role, None where it is as it is meant.

    rules: those that it has; None where there is none.
    """
    template = ROLE_TEMPLATES[role]
    if rules is None:
        return f"The cluster has no ClusterRole {template.cluster_role}, so that {role} gives nobody anything."
    if set(parts_of(rules)) != set(parts_of(template.rules)):
        return f"The ClusterRole {template.cluster_role} is not as {role} is meant."
    return None


# --- what is wanted


def binding_name(uid: str, role: str, namespace: str, is_custom: bool) -> str:
    """The name of the binding of one grant: no two grants of a cluster have the same, and it never changes.

    As the provider names them, where that tells a grant apart: admin and ops in the cluster, dev in a namespace. Any
    other has the role in its name; a colon stands in no namespace and no predefined role, so that none is mistaken for
    another. At most 253 characters: a longer one has its SHA-256 in its place.
    """
    if namespace:
        within = namespace if (role, is_custom) == ("dev", False) else f"{namespace}:{_told(role, is_custom)}"
        middle, end = within, "rolebinding"
    else:
        plain = {"admin": "cluster-admin", "ops": ""}
        middle = plain.get(role, role) if not is_custom else _told(role, is_custom)
        end = "clusterrolebinding"
    name = "-".join(part for part in (uid, middle, end) if part)
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{uid}-{hashlib.sha256(name.encode()).hexdigest()}-{end}"


def _told(role: str, is_custom: bool) -> str:
    return f"custom:{role}" if is_custom else role


def wanted_bindings(
    grants: Iterable[Grant], subjects: Mapping[str, Sequence[str]], account: str
) -> tuple[WantedBinding, ...]:
    """One binding for each grant of who has a current credential, by kind, namespace and name.

    subjects: the CNs of each uid's current credentials.
    """
    wanted = [_wanted(grant, subjects[grant.uid], account) for grant in set(grants) if subjects.get(grant.uid)]
    return tuple(sorted(wanted, key=_key))


def _wanted(grant: Grant, names: Sequence[str], account: str) -> WantedBinding:
    return WantedBinding(
        ROLE_BINDING if grant.namespace else CLUSTER_ROLE_BINDING,
        grant.namespace,
        binding_name(*grant),
        cluster_role_of(grant.role, is_custom=grant.is_custom),
        tuple(Subject(USER, name) for name in sorted(set(names))),
        {MANAGED_BY_LABEL: MANAGER, ACCOUNT_LABEL: account, UID_LABEL: grant.uid},
    )


def _key(binding: WantedBinding | SeenBinding) -> tuple[str, str, str]:
    """What a binding is found by in a cluster."""
    return binding.kind, binding.namespace, binding.name


# --- the plan


class Create(NamedTuple):
    """A binding is to be made."""

    wanted: WantedBinding


class Replace(NamedTuple):
    """Subjects and labels of a binding are to be made as wanted, if it still has this resource_version."""

    wanted: WantedBinding
    seen: SeenBinding

    @property
    def resource_version(self) -> str:
        """The version that was seen."""
        return self.seen.resource_version


class Delete(NamedTuple):
    """A binding of ours is to go, if it still is the one that was seen."""

    seen: SeenBinding


class Clash(NamedTuple):
    """A binding that is wanted, and one of its name that is not ours and so is left alone."""

    wanted: WantedBinding
    seen: SeenBinding


Step = Create | Replace | Delete


class Plan(NamedTuple):
    """What is to be done in one cluster, in this order: what goes, what changes, what is made.

    account: whose bindings it is about; clashes: what cannot be done.
    """

    account: str
    steps: tuple[Step, ...]
    clashes: tuple[Clash, ...] = ()


def is_ours(binding: SeenBinding, account: str) -> bool:
    """Whether a binding was made here, for this account."""
    return binding.labels.get(MANAGED_BY_LABEL) == MANAGER and binding.labels.get(ACCOUNT_LABEL) == account


def plan(wanted: Iterable[WantedBinding], seen: Iterable[SeenBinding], account: str) -> Plan:
    """What makes the cluster's bindings of this account the wanted ones; nothing where they are.

    A role is never changed (Kubernetes: roleRef is immutable), so a binding with another one is deleted and made anew.
    """
    by_key = {_key(binding): binding for binding in seen}
    wanted_by_key = {_key(binding): binding for binding in wanted}
    deletes = [
        Delete(binding) for key, binding in by_key.items() if is_ours(binding, account) and key not in wanted_by_key
    ]
    replaces: list[Replace] = []
    creates: list[Create] = []
    clashes: list[Clash] = []
    for key, binding in wanted_by_key.items():
        found = by_key.get(key)
        if found is None:
            creates.append(Create(binding))
        elif not is_ours(found, account):
            clashes.append(Clash(binding, found))
        elif (found.role_kind, found.role_name) != (CLUSTER_ROLE, binding.role_name):
            deletes.append(Delete(found))
            creates.append(Create(binding))
        elif not _is_as_wanted(found, binding):
            replaces.append(Replace(binding, found))
    deletes.sort(key=lambda step: _key(step.seen))
    replaces.sort(key=lambda step: _key(step.seen))
    creates.sort(key=lambda step: _key(step.wanted))
    steps: tuple[Step, ...] = (*deletes, *replaces, *creates)
    return Plan(account, steps, tuple(sorted(clashes, key=lambda clash: _key(clash.wanted))))


def _is_as_wanted(seen: SeenBinding, wanted: WantedBinding) -> bool:
    """Labels beside ours are the cluster's own affair."""
    return set(seen.subjects) == set(wanted.subjects) and wanted.labels.items() <= seen.labels.items()


def hash_of(plan: Plan) -> str:
    """Lower-case hex SHA-256 of what a plan does, whatever the order of its parts; versions have no part in it."""
    parts = sorted(json.dumps(_told_of(step), sort_keys=True) for step in (*plan.steps, *plan.clashes))
    return hashlib.sha256(json.dumps([plan.account, *parts]).encode()).hexdigest()


def _told_of(step: Step | Clash) -> list[Any]:
    """What a step takes away and what it makes, as plain data."""
    told: list[Any] = [type(step).__name__]
    if not isinstance(step, Create):
        told.append([*_key(step.seen), step.seen.uid, step.seen.role_kind, step.seen.role_name])
        told.append(sorted(set(step.seen.subjects)))
    if not isinstance(step, Delete):
        told.append([*_key(step.wanted), step.wanted.role_name, dict(step.wanted.labels)])
        told.append(sorted(set(step.wanted.subjects)))
    return told


# --- the brake


def check_brake(plan: Plan, seen: Iterable[SeenBinding], removals: Collection[str]) -> str | None:
    """Why a plan must not be carried out before somebody confirmed it; None where it may be.

    It takes from more than 10 bindings of ours, or from more than 20 % of them, or it takes the last one to admin.
    removals: CNs that are over by our own records; what is taken from them alone never counts. A binding that is made
    anew counts where it then lacks somebody.
    """
    explained = frozenset(removals)
    ours = [binding for binding in seen if is_ours(binding, plan.account)]
    losses = [lost for lost in _losses(plan) if not _is_explained(lost, explained)]
    if not losses:
        return None
    if len(losses) > _MOST_LOSSES:
        return f"{len(losses)} bindings would lose somebody, and {_MOST_LOSSES} is the most without a confirmation."
    if len(losses) * 100 > len(ours) * _MOST_LOST_PERCENT:
        return (
            f"{len(losses)} of {len(ours)} bindings would lose somebody, and {_MOST_LOST_PERCENT} % is the most "
            "without a confirmation."
        )
    if any(map(_is_admin, losses)) and not _admin_remains(plan, ours):
        return f"The last binding to {ADMIN_CLUSTER_ROLE} would go."
    return None


def _losses(plan: Plan) -> Iterator[SeenBinding]:
    """Each seen binding that loses subjects, with those that it loses."""
    made = {_key(step.wanted): step.wanted for step in plan.steps if isinstance(step, Create)}
    for step in plan.steps:
        if isinstance(step, Create):
            continue
        after = step.wanted if isinstance(step, Replace) else made.get(_key(step.seen))
        kept = after.subjects if after is not None and after.role_name == step.seen.role_name else ()
        lost = tuple(subject for subject in step.seen.subjects if subject not in kept)
        if lost:
            yield step.seen._replace(subjects=lost)


def _is_explained(lost: SeenBinding, removals: frozenset[str]) -> bool:
    return all(subject.kind == USER and subject.name in removals for subject in lost.subjects)


def _is_admin(binding: SeenBinding | WantedBinding) -> bool:
    return (binding.kind, binding.role_name) == (CLUSTER_ROLE_BINDING, ADMIN_CLUSTER_ROLE)


def _admin_remains(plan: Plan, ours: Iterable[SeenBinding]) -> bool:
    deleted = {_key(step.seen) for step in plan.steps if isinstance(step, Delete)}
    kept = [binding for binding in ours if _is_admin(binding) and _key(binding) not in deleted]
    return bool(kept) or any(_is_admin(step.wanted) for step in plan.steps if isinstance(step, Create))


# --- the binding scan

# Kubernetes binds these to everybody who is authenticated (its page "Using RBAC Authorization", read 2026-11-24).
_DEFAULT_ROLES = frozenset({"system:basic-user", "system:discovery", "system:public-info-viewer"})


def bindings_that_reach(
    user: str, groups: Collection[str], bindings: Iterable[SeenBinding]
) -> list[tuple[SeenBinding, Subject]]:
    """Every binding that permits a user of these groups something, with the subject by which it does.

    The API server puts whoever it authenticated into system:authenticated.
    """
    names = {*groups, AUTHENTICATED_GROUP}
    return [
        (binding, subject)
        for binding in bindings
        for subject in binding.subjects
        if (subject.kind == USER and subject.name == user)
        or (subject.kind == GROUP and subject.name in names)
        or (subject.kind == SERVICE_ACCOUNT and user == _service_account_user(binding, subject))
    ]


def _service_account_user(binding: SeenBinding, subject: Subject) -> str:
    return f"system:serviceaccount:{subject.namespace or binding.namespace}:{subject.name}"


def bare_uid_bindings(bindings: Iterable[SeenBinding]) -> list[tuple[SeenBinding, Subject]]:
    """Bindings to a User whose name is a uid and no more: no removal of one credential touches them."""
    return [
        (binding, subject)
        for binding in bindings
        for subject in binding.subjects
        if subject.kind == USER and is_uid(subject.name)
    ]


def wide_bindings(bindings: Iterable[SeenBinding]) -> list[tuple[SeenBinding, Subject]]:
    """Bindings that permit everybody who holds a credential something: to the group of our certificates, or to all
    who are authenticated, but for the roles that Kubernetes itself gives those.
    """
    return [
        (binding, subject)
        for binding in bindings
        for subject in binding.subjects
        if subject.kind == GROUP
        and (subject.name == USERS_GROUP or (subject.name == AUTHENTICATED_GROUP and not _is_default(binding)))
    ]


def tell_beyond_reach(bindings: Iterable[SeenBinding]) -> list[str]:
    """What a cluster's bindings permit beside what is granted here, and no removal of one credential takes away."""
    found = list(bindings)
    wide = [
        f"{tell_binding(binding)} permits {binding.role_name} to all of {subject.name}: unbinding a credential does "
        "not end that."
        for binding, subject in wide_bindings(found)
    ]
    bare = [
        f"{tell_binding(binding)} names {subject.name}, a bare uid: unbinding a credential does not end what a "
        "certificate of that very name may do."
        for binding, subject in bare_uid_bindings(found)
    ]
    told = [*wide, *bare]
    return [*told[:_MOST_TOLD], *([f"And {len(told) - _MOST_TOLD} more such bindings."] if told[_MOST_TOLD:] else [])]


def tell_binding(binding: SeenBinding) -> str:
    """A binding for a message: its name, where, and who wrote it as they call themselves."""
    within = f" in {binding.namespace}" if binding.namespace else ""
    who = ", ".join(name[:_LONGEST_MANAGER] for name in binding.managers[:_MOST_MANAGERS])
    return f"{binding.name}{within}" + (f" (written by {who})" if who else "")


def _is_default(binding: SeenBinding) -> bool:
    return binding.role_kind == CLUSTER_ROLE and binding.role_name in _DEFAULT_ROLES


# --- evidence that a credential is powerless

BINDING_SCAN = "binding_scan"
ACCESS_REVIEW = "access_review"
USED = "used"
RULES_REVIEW = "rules_review"
CA_GONE = "ca_gone"
SHARED_CA = "shared_ca"  # no evidence by itself: where else the certificate is taken

REFUSED = "refused"
ALLOWED = "allowed"
UNPROVEN = "unproven"


class Evidence(NamedTuple):
    """The newest that is known of one kind. api_server: "" for the cluster's own address."""

    kind: str
    api_server: str
    outcome: str


class Verdict(NamedTuple):
    """Whether a credential is removed. missing: what is not proven, each with its API server; text: a sentence."""

    removed: bool
    missing: tuple[str, ...]
    text: str


def decide_removal(
    evidence: Iterable[Evidence],
    *,
    api_servers: Sequence[str],
    key_kept: bool,
    was_ever_allowed: bool,
    masters: bool,
) -> Verdict:
    """Whether the evidence shows that a credential can do nothing any more.

    1. That the CA it chains to is gone is enough, and for one of system:masters nothing else is.
    2. Else no binding may reach it, and it must have been used and refused on every declared API server.
    3. Where it cannot be used (no key is kept), or where a refusal would say nothing (no binding ever allowed it
       anything), an access review that is refused stands for the use. A use that is allowed stands against it.
    4. What it may still do by its own review of its rules stands against it too; that such a review tells nothing
       supports nothing, since there may be rules that an authorizer does not tell.

    api_servers: those declared; key_kept: whether its private key is kept here.
    """
    facts = list(evidence)
    if _holds_everywhere(facts, CA_GONE, api_servers):
        return Verdict(True, (), "The CA that it chains to is trusted no more.")
    if masters:
        text = "A member of system:masters passes every authorizer: it ends only when the CA is changed."
        return Verdict(False, (CA_GONE,), text)
    missing = _unproven(facts, BINDING_SCAN)
    if key_kept and was_ever_allowed:
        missing += _not_refused_on(facts, api_servers)
        proof = f"it was used and refused on {_counted(len(api_servers))}"
    else:
        missing += _unproven(facts, ACCESS_REVIEW)
        missing += _allowed(facts, USED) if key_kept else ()
        proof = "an access review refuses it"
    missing += _allowed(facts, RULES_REVIEW)
    if missing:
        return Verdict(False, missing, f"Not proven to be powerless: {', '.join(missing)}.")
    return Verdict(True, (), f"No binding reaches it, and {proof}.")


def _counted(api_servers: int) -> str:
    return "its API server" if api_servers == 1 else f"each of {api_servers} API servers"


def _holds_everywhere(facts: list[Evidence], kind: str, api_servers: Sequence[str]) -> bool:
    """Whether this was refused wherever it was asked, and asked of the cluster or of every API server."""
    found = [one for one in facts if one.kind == kind]
    asked = {one.api_server for one in found}
    whole = "" in asked or (bool(api_servers) and asked >= set(api_servers))
    return whole and all(one.outcome == REFUSED for one in found)


def _unproven(facts: list[Evidence], kind: str) -> tuple[str, ...]:
    """Where evidence of this kind is no refusal; the kind alone where there is none of it."""
    found = [one for one in facts if one.kind == kind]
    if not found:
        return (kind,)
    return tuple(_place(kind, one.api_server) for one in found if one.outcome != REFUSED)


def _not_refused_on(facts: list[Evidence], api_servers: Sequence[str]) -> tuple[str, ...]:
    """The API servers on which a use was not refused; that none is declared proves nothing."""
    if not api_servers:
        return (f"{USED} (no API server is declared)",)
    found = [one for one in facts if one.kind == USED]
    refused = {one.api_server for one in found} - {one.api_server for one in found if one.outcome != REFUSED}
    return tuple(_place(USED, server) for server in api_servers if server not in refused)


def _allowed(facts: list[Evidence], kind: str) -> tuple[str, ...]:
    return tuple(_place(kind, one.api_server) for one in facts if (one.kind, one.outcome) == (kind, ALLOWED))


def _place(kind: str, api_server: str) -> str:
    return f"{kind} on {api_server}" if api_server else kind
