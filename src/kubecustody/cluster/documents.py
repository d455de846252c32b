# ruff: noqa: D101 - each class is the part of a document that Kubernetes calls so
"""Kubernetes' documents, as far as they are read or written here; what else stands in them is passed over.

Field names are Kubernetes' own (kubernetes.io/docs/reference/kubernetes-api/, read for 1.37). Go writes null for some
empty lists, so they may be None.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeVar

import msgspec

from kubecustody.core.bindings import CLUSTER_ROLE_BINDING, ROLE_BINDING, SeenBinding, Subject
from kubecustody.core.rules import Rule

Item = TypeVar("Item")
RBAC_GROUP = "rbac.authorization.k8s.io"


class Document(msgspec.Struct, rename="camel", kw_only=True):
    """A part of a document."""


class Status(Document):
    """Kubernetes' answer to what it does not do. `message` holds names of others' making."""

    kind: str
    status: str = ""
    message: str = ""
    reason: str = ""


class Manager(Document):
    manager: str = ""


class Metadata(Document):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}
    managed_fields: list[Manager] = []


class ListMetadata(Document):
    continue_: str = msgspec.field(default="", name="continue")


class List(Document, Generic[Item]):
    items: list[Item] | None
    metadata: ListMetadata = msgspec.field(default_factory=ListMetadata)


class Named(Document):
    """Any object, of which only the metadata counts."""

    metadata: Metadata
    kind: str = ""


class Version(Document):
    git_version: str


class ConfigMap(Document):
    metadata: Metadata
    data: dict[str, str] = {}


class Port(Document):
    name: str | None = None
    port: int | None = None


class Endpoint(Document):
    addresses: list[str]


class EndpointSlice(Document):
    endpoints: list[Endpoint] | None = None
    ports: list[Port] | None = None


class AccessReviewStatus(Document):
    allowed: bool
    denied: bool = False
    reason: str = ""
    evaluation_error: str = ""


class AccessReview(Document):
    status: AccessReviewStatus


class UserInfo(Document):
    username: str
    groups: list[str] = []


class SelfStatus(Document):
    user_info: UserInfo


class SelfReview(Document):
    status: SelfStatus


class CsrSpec(Document):
    request: bytes


class Condition(Document):
    type: str
    status: str = ""


class CsrStatus(Document):
    certificate: bytes | None = None
    conditions: list[Condition] = []


class CertificateSigningRequest(Document):
    metadata: Metadata
    spec: CsrSpec
    status: CsrStatus = msgspec.field(default_factory=CsrStatus)

    def has(self, condition: str) -> bool:
        """Whether a condition of this type holds."""
        return any(one.type == condition and one.status == "True" for one in self.status.conditions)


class PolicyRule(Document):
    """A rule of a role, or of a review."""

    verbs: list[str] | None = None
    api_groups: list[str] | None = None
    resources: list[str] | None = None
    resource_names: list[str] | None = None
    non_resource_urls: list[str] | None = msgspec.field(default=None, name="nonResourceURLs")

    def rule(self) -> Rule:
        """The rule as the rest of the program knows it."""
        return {
            "verbs": self.verbs or (),
            "apiGroups": self.api_groups or (),
            "resources": self.resources or (),
            "resourceNames": self.resource_names or (),
            "nonResourceURLs": self.non_resource_urls or (),
        }


class Role(Document):
    metadata: Metadata
    rules: list[PolicyRule] | None = None


class RulesStatus(Document):
    resource_rules: list[PolicyRule] | None
    non_resource_rules: list[PolicyRule] | None
    incomplete: bool
    evaluation_error: str = ""


class RulesReview(Document):
    status: RulesStatus


class TokenStatus(Document):
    token: str
    expiration_timestamp: str


class TokenRequest(Document):
    status: TokenStatus


class RoleRef(Document):
    kind: str
    name: str


class SubjectDocument(Document):
    kind: str
    name: str
    namespace: str = ""


class Binding(Document):
    metadata: Metadata
    role_ref: RoleRef
    subjects: list[SubjectDocument] | None = None

    def seen(self) -> SeenBinding:
        """The binding as the rest of the program knows it."""
        metadata = self.metadata
        return SeenBinding(
            kind=ROLE_BINDING if metadata.namespace else CLUSTER_ROLE_BINDING,
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            resource_version=metadata.resource_version,
            role_kind=self.role_ref.kind,
            role_name=self.role_ref.name,
            subjects=tuple(Subject(one.kind, one.name, one.namespace) for one in self.subjects or ()),
            labels=metadata.labels,
            managers=tuple(dict.fromkeys(one.manager for one in metadata.managed_fields)),
        )


def subject_documents(subjects: Iterable[Subject]) -> list[dict[str, str]]:
    """Subjects as a binding spells them."""
    return [
        {"kind": one.kind, "name": one.name, "namespace": one.namespace}
        if one.kind == "ServiceAccount"
        else {"kind": one.kind, "name": one.name, "apiGroup": RBAC_GROUP}
        for one in subjects
    ]


def binding_document(
    kind: str,
    namespace: str,
    name: str,
    role_kind: str,
    role_name: str,
    subjects: Iterable[Subject],
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """A new binding."""
    return {
        "apiVersion": f"{RBAC_GROUP}/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": dict(labels), **({"namespace": namespace} if namespace else {})},
        "roleRef": {"apiGroup": RBAC_GROUP, "kind": role_kind, "name": role_name},
        "subjects": subject_documents(subjects),
    }
