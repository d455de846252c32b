"""What this server's own account may do in a cluster: profiles, each right with its reason, and what an administrator
leaves in the cluster for it.

No profile has `escalate` or `impersonate`, and `bind` only for roles that are named. What is here is the one source:
what `clusters profiles` prints, what `clusters bootstrap` leaves, what the guide shows and what reports check.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from kubecustody.core.bindings import MANAGED_BY_LABEL, MANAGER, ROLE_TEMPLATES

OWN_NAMESPACE = "kubecustody"
OWN_NAME = "kubecustody"  # of the ServiceAccount, and of every role and binding of it
OWN_TOKEN_SECONDS = 30 * 86_400  # of its tokens, which are renewed at half of that

_RBAC = "rbac.authorization.k8s.io"
_OWN = "(own)"  # in place of the namespace that is chosen when it is set up


class Profile(StrEnum):
    """How much this server's own account may do."""

    OBSERVE = "observe"
    REMOVE = "remove"
    FULL = "full"


class OwnSigner(StrEnum):
    """What issues for the cluster, as far as rights there depend on it: only the cluster's own signer needs some."""

    CSR = "csr"
    CA = "ca"
    NONE = "none"


class Right(NamedTuple):
    """One right. namespace: "" for the whole cluster; names: of the objects, none for every one."""

    verbs: tuple[str, ...]
    group: str
    resources: tuple[str, ...]
    reason: str
    namespace: str = ""
    names: tuple[str, ...] = ()

    def rule(self) -> dict[str, list[str]]:
        """Kubernetes' PolicyRule."""
        rule = {"apiGroups": [self.group], "resources": [*self.resources], "verbs": [*self.verbs]}
        return {**rule, "resourceNames": [*self.names]} if self.names else rule


def _right(
    verbs: str, group: str, resources: str, reason: str, *, within: str = "", names: Sequence[str] = ()
) -> Right:
    return Right(tuple(verbs.split()), group, tuple(resources.split()), reason, within, tuple(names))


_PREDEFINED = tuple(template.cluster_role for template in ROLE_TEMPLATES.values())

_OBSERVE = (
    _right("get", "", "namespaces", "Its uid tells clusters apart.", names=["kube-system"]),
    _right(
        "get",
        "",
        "configmaps",
        "Which client CAs the cluster trusts, and whose mark it bears.",
        within="kube-system",
        names=["extension-apiserver-authentication", "kubecustody-owner"],
    ),
    _right("list", "discovery.k8s.io", "endpointslices", "Which API servers it has.", within="default"),
    _right("list", _RBAC, "clusterrolebindings rolebindings", "Who is bound to what."),
    _right("get list", _RBAC, "clusterroles roles", "What those roles permit."),
    _right(
        "create",
        "",
        "serviceaccounts/token",
        "Its own access is renewed before it ends; its own alone.",
        within=_OWN,
        names=[OWN_NAME],
    ),
)

_REMOVE = (
    _right("create", "", "configmaps", "The mark that tells who manages the cluster.", within="kube-system"),
    _right(
        "delete", "", "configmaps", "The mark goes with the cluster.", within="kube-system", names=["kubecustody-owner"]
    ),
    _right("patch delete", _RBAC, "clusterrolebindings rolebindings", "Who is removed is taken out of bindings."),
    _right("create", "authorization.k8s.io", "subjectaccessreviews", "The proof that who was removed may do nothing."),
)

_FULL = (_right("create", _RBAC, "clusterrolebindings rolebindings", "What is granted to people."),)

_SIGNING = (
    _right(
        "create get delete",
        "certificates.k8s.io",
        "certificatesigningrequests",
        "The cluster signs the certificates of people's kubeconfigs.",
    ),
    _right(
        "update",
        "certificates.k8s.io",
        "certificatesigningrequests/approval",
        "Requests of its own are approved.",
    ),
    _right(
        "approve",
        "certificates.k8s.io",
        "signers",
        "Of client certificates, and of nothing else.",
        names=["kubernetes.io/kube-apiserver-client"],
    ),
)


def rights_of(
    profile: Profile, signer: OwnSigner = OwnSigner.NONE, bind_roles: Iterable[str] = (), namespace: str = OWN_NAMESPACE
) -> tuple[Right, ...]:
    """Every right of a profile. bind_roles: ClusterRoles of the cluster's own that may be granted too."""
    rights = [*_OBSERVE]
    if profile is not Profile.OBSERVE:
        rights += _REMOVE
        rights.append(_bind(bind_roles))
    if profile is Profile.FULL:
        rights += _FULL
        if signer is OwnSigner.CSR:
            rights += _SIGNING
    return tuple(one._replace(namespace=namespace) if one.namespace == _OWN else one for one in rights)


def _bind(roles: Iterable[str]) -> Right:
    reason = "Kubernetes asks it of whoever changes who is bound to a role, also of who takes somebody out."
    return _right("bind", _RBAC, "clusterroles", reason, names=[*_PREDEFINED, *dict.fromkeys(roles)])


def nearly_admin(profile: Profile) -> str:
    """What whoever holds this account could make of it, in a sentence."""
    if profile is Profile.FULL:
        return (
            "This is nearly cluster-admin: who holds the account can bind themselves to cs:admin, or have a "
            "certificate of any name signed. Guard this server as the cluster's administrators."
        )
    if profile is Profile.REMOVE:
        return (
            "Who holds the account can put anybody into a binding to a predefined role that is there, so where one to "
            "cs:admin is, this is nearly cluster-admin. It can make no binding."
        )
    return "It reads who may do what, and changes nothing but its own access."


# --- what is left in the cluster


class Manifest(NamedTuple):
    """One object. reasons: why each rule of a role is there, in the order of the rules."""

    document: Mapping[str, Any]
    reason: str
    reasons: tuple[str, ...] = ()


def manifests_of(
    profile: Profile,
    signer: OwnSigner = OwnSigner.NONE,
    bind_roles: Iterable[str] = (),
    namespace: str = OWN_NAMESPACE,
) -> tuple[Manifest, ...]:
    """What is applied in a cluster, in this order: the account then has the rights of this profile, and no others."""
    rights = rights_of(profile, signer, bind_roles, namespace)
    return (
        Manifest(_object("v1", "Namespace", namespace), "Where the account is."),
        Manifest(_object("v1", "ServiceAccount", OWN_NAME, namespace), "As whom this server comes."),
        *_roles(rights, namespace),
        *role_templates(),
    )


def _roles(rights: Sequence[Right], own: str) -> Iterator[Manifest]:
    """A role and its binding for the whole cluster, and for each namespace in which there is a right."""
    for within in sorted({one.namespace for one in rights}):
        here = [one for one in rights if one.namespace == within]
        kind = "Role" if within else "ClusterRole"
        role = _object(f"{_RBAC}/v1", kind, OWN_NAME, within)
        where = f"in the namespace {within}" if within else "in the whole cluster"
        yield Manifest(
            {**role, "rules": [one.rule() for one in here]},
            f"What it may do {where}.",
            tuple(one.reason for one in here),
        )
        yield Manifest(
            {
                **_object(f"{_RBAC}/v1", f"{kind}Binding", OWN_NAME, within),
                "roleRef": {"apiGroup": _RBAC, "kind": kind, "name": OWN_NAME},
                "subjects": [{"kind": "ServiceAccount", "name": OWN_NAME, "namespace": own}],
            },
            "And that it is this account that may.",
        )


def role_templates() -> Iterator[Manifest]:
    """The predefined roles: an administrator makes them, so that this server need not be allowed to."""
    for role, template in ROLE_TEMPLATES.items():
        document = _object(f"{_RBAC}/v1", "ClusterRole", template.cluster_role)
        rules = [{name: [*values] for name, values in rule.items()} for rule in template.rules]
        yield Manifest({**document, "rules": rules}, f"What the predefined role {role} gives.")


def _object(version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": {**metadata, "labels": {MANAGED_BY_LABEL: MANAGER}}}
