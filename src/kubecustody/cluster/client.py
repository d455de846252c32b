"""One Kubernetes cluster, asked for what this program needs of it, and nothing besides.

    async with Connections(networks) as connections:
        cluster = Cluster(connections, access)
        for address in await cluster.list_api_servers():
            await cluster.at(address).get_version()

Each coroutine is one request, unless it says more, and raises ClusterError. Nothing is retried: those who ask are
level-based and come again.
"""

import asyncio
import base64
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from kubecustody.cluster import documents
from kubecustody.cluster.access import Access
from kubecustody.cluster.asking import JSON, MANAGER, UNREADABLE, Api, status_of
from kubecustody.cluster.connections import Answer, Connections
from kubecustody.cluster.errors import AddressRefused, Conflict, NotFound, NotKubernetes, TooBig
from kubecustody.core.bindings import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE_BINDING, SeenBinding, Subject
from kubecustody.core.rules import Rule
from kubecustody.core.times import parse_time
from kubecustody.core.urls import split_url

__all__ = [
    "AnswerKind",
    "Cluster",
    "Connections",
    "CsrState",
    "IssuedToken",
    "Marker",
    "Probe",
    "Review",
    "ReviewReason",
    "RulesReview",
    "WhoAmI",
]

MANAGED_BY = "app.kubernetes.io/managed-by"
MOST_API_SERVERS = 100
WORD = re.compile(r"[A-Za-z0-9.+_-]{1,64}")  # a version, or a uid
MARKER_NAME = "kubecustody-owner"
SIGNER_NAME = "kubernetes.io/kube-apiserver-client"
_LOOK_SECONDS = 0.25

KUBE_SYSTEM = "/api/v1/namespaces/kube-system"
CONFIG_MAPS = f"{KUBE_SYSTEM}/configmaps"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
RBAC = f"/apis/{documents.RBAC_GROUP}/v1"
API_SERVERS = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
AUTHORIZATION = "authorization.k8s.io/v1"
AUTHENTICATION = "authentication.k8s.io/v1"

MERGE_PATCH = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"

# k8s.io/apiserver (pkg/endpoints/handlers/responsewriters/errors.go, read for 1.37) quotes the user as Go does (%q).
FORBIDDEN_USER = re.compile(r'User ("(?:[^"\\]|\\.)*") cannot ')
AUTHORIZER_FAILED = b'Internal Server Error: "'


class ReviewReason(StrEnum):
    """Why a review is as it is, as far as Kubernetes says so in words that are known."""

    NONE = "none"
    RBAC = "rbac"
    OTHER = "other"
    EVALUATION_ERROR = "evaluation_error"


class Review(NamedTuple):
    """What an API server says somebody may do. denied: an authorizer forbade it; else nobody allowed it."""

    allowed: bool
    denied: bool
    reason_code: ReviewReason


@dataclass(frozen=True, slots=True)
class CsrState:
    """A CertificateSigningRequest. request_pem and certificate are PEM; certificate is None until it is signed."""

    name: str
    uid: str
    request_pem: bytes = field(repr=False)
    certificate: bytes | None = field(repr=False)
    approved: bool
    denied: bool
    failed: bool


class Marker(NamedTuple):
    """The ConfigMap that says to whom a cluster belongs."""

    data: Mapping[str, str]
    resource_version: str


class WhoAmI(NamedTuple):
    """As whom an API server sees the one who asks."""

    user: str
    groups: tuple[str, ...]


class AnswerKind(StrEnum):
    """What a probe was answered with."""

    OBJECT = "object"  # what was asked for: the certificate is accepted, and allowed this
    STATUS = "status"  # a Kubernetes Status
    AUTHORIZER_FAILED = "authorizer_failed"  # Kubernetes' own text for an authorizer without a verdict, a deny list's
    OTHER = "other"  # anything else, as of what stands in the way


class Probe(NamedTuple):
    """What a certificate was answered by a server that proved who it is (else there is no probe, but an error).

    names_user: whom a 403 of Kubernetes says it refuses. by_cluster_ca: the cluster's own CA vouched for the server,
    and not one of the system's.
    """

    status: int
    names_user: str | None
    kind: AnswerKind
    by_cluster_ca: bool


class RulesReview(NamedTuple):
    """What somebody may do. incomplete: an authorizer cannot tell, so there may be more."""

    rules: tuple[Rule, ...]
    incomplete: bool


class IssuedToken(NamedTuple):
    """A token of a ServiceAccount, and when it ends (unix seconds)."""

    token: str
    expires_at: int


class Cluster:
    """A cluster that is asked in the way that an access describes."""

    def __init__(self, connections: Connections, access: Access) -> None:
        self._connections, self._access = connections, access
        self._api = Api(connections, access)

    @property
    def access(self) -> Access:
        """The way in which it is asked."""
        return self._access

    def with_access(self, access: Access) -> "Cluster":
        """The same connections, and another way in."""
        return Cluster(self._connections, access)

    def is_foreign(self, address: str) -> bool:
        """Whether an address (IP:PORT) is none that is connected to from here."""
        try:
            return not self._connections.allow(split_url(f"https://{address}").hostname or "")
        except ValueError:
            return True

    def at(self, address: str) -> "Cluster":
        """The same cluster through the API server at IP:PORT, vouched for as before: by the same CA, for the same name.

        Raises AddressRefused where that is no address.
        """
        name = self._access.tls_server_name or split_url(self._access.endpoint).hostname
        try:
            parts = split_url(f"https://{address}")
            ipaddress.ip_address(parts.hostname or "")
            if parts.port is None or parts.netloc != address or not set("@%").isdisjoint(address):
                raise ValueError
        except ValueError:
            raise AddressRefused("What should be the address of an API server is not IP:PORT.") from None
        return Cluster(self._connections, replace(self._access, endpoint=f"https://{address}", tls_server_name=name))

    # --- who it is ------------------------------------------------------------------------------------------

    async def get_version(self) -> str:
        """The version without its v, such as 1.37.2."""
        return (await self.get_version_and_time())[0]

    async def get_version_and_time(self) -> tuple[str, int | None]:
        """The version, and the time there (unix seconds); None where the answer does not say it."""
        answer = await self._api.send("GET", "/version")
        version = self._api.decoded("GET", "/version", answer, documents.Version).git_version.removeprefix("v")
        if not WORD.fullmatch(version):
            raise NotKubernetes(f"{self._api.asked('GET', '/version')}: what it calls its version is none.")
        return version, _time_of(answer)

    async def get_kube_system_uid(self) -> str:
        """The uid of namespace kube-system, which tells clusters apart."""
        found = await self._api.ask("GET", KUBE_SYSTEM, documents.Named)
        if not WORD.fullmatch(found.metadata.uid):
            raise NotKubernetes(f"{self._api.asked('GET', KUBE_SYSTEM)}: the answer has no uid that is one.")
        return found.metadata.uid

    async def get_client_ca(self) -> bytes | None:
        """The PEM of the CAs whose client certificates it takes; None where it does not say so."""
        path = f"{CONFIG_MAPS}/extension-apiserver-authentication"
        try:
            found = await self._api.ask("GET", path, documents.ConfigMap)
        except NotFound:
            return None
        pem = found.data.get("client-ca-file")
        return pem.encode() if pem else None

    async def list_api_servers(self) -> list[str]:
        """The addresses (IP:PORT) of its API servers as it names them, sorted; where they lead is not judged."""
        query = {"labelSelector": "kubernetes.io/service-name=kubernetes"}
        slices = await self._api.list_items(API_SERVERS, documents.EndpointSlice, query=query)
        found = (
            _join(address, port.port)
            for one in slices
            for port in _https_ports(one)
            for endpoint in one.endpoints or ()
            for address in endpoint.addresses
        )
        addresses = sorted(set(found))
        if len(addresses) > MOST_API_SERVERS:
            raise TooBig(f"{self._api.asked('GET', API_SERVERS)}: more than {MOST_API_SERVERS} API servers are named.")
        return addresses

    async def list_namespaces(self) -> list[str]:
        """The names of all namespaces, sorted."""
        return await self._api.list_names("/api/v1/namespaces")

    async def get_marker(self) -> Marker | None:
        """The marker, None where there is none."""
        try:
            return _marker(await self._api.ask("GET", f"{CONFIG_MAPS}/{MARKER_NAME}", documents.ConfigMap))
        except NotFound:
            return None

    async def put_marker(self, data: Mapping[str, str], resource_version: str | None) -> Marker:
        """The marker as it is now: a new one without resource_version, else in place of the one that has it.

        Raises AlreadyThere, Conflict.
        """
        metadata: dict[str, Any] = {"name": MARKER_NAME, "namespace": "kube-system", "labels": {MANAGED_BY: MANAGER}}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}
        if resource_version is None:
            return _marker(await self._api.ask("POST", CONFIG_MAPS, documents.ConfigMap, body=document))
        if not resource_version:
            raise ValueError("an empty resource version would overwrite whatever is there")
        metadata["resourceVersion"] = resource_version
        return _marker(await self._api.ask("PUT", f"{CONFIG_MAPS}/{MARKER_NAME}", documents.ConfigMap, body=document))

    async def delete_marker(self, resource_version: str) -> None:
        """Let there be no marker, if it is still the one that was seen. Raises Conflict, NotFound."""
        await self._api.delete(f"{CONFIG_MAPS}/{MARKER_NAME}", {"resourceVersion": resource_version})

    # --- who may do what ------------------------------------------------------------------------------------

    async def who_am_i(self) -> WhoAmI:
        """As whom it sees this server. Raises NotFound before Kubernetes 1.28."""
        path, body = _review(AUTHENTICATION, "SelfSubjectReview", None)
        info = (await self._api.ask("POST", path, documents.SelfReview, body=body)).status.user_info
        return WhoAmI(info.username, tuple(info.groups))

    async def can_i(
        self, verb: str, group: str, resource: str, *, namespace: str = "", name: str = "", subresource: str = ""
    ) -> bool:
        """Whether this server may do that. namespace "": in all namespaces, or of what is in none."""
        spec = {"resourceAttributes": _attributes(verb, group, resource, namespace, name, subresource)}
        path, body = _review(AUTHORIZATION, "SelfSubjectAccessReview", spec)
        return (await self._api.ask("POST", path, documents.AccessReview, body=body)).status.allowed

    async def review(
        self,
        user: str,
        groups: Sequence[str],
        extra: Mapping[str, Sequence[str]],
        verb: str,
        group: str = "",
        resource: str = "",
        namespace: str = "",
        non_resource_path: str = "",
        *,
        name: str = "",
        subresource: str = "",
    ) -> Review:
        """What somebody may do, if they came with these groups and this extra; of a path if one is given."""
        spec: dict[str, Any] = {"user": user, "groups": list(groups), "extra": {key: [*extra[key]] for key in extra}}
        if non_resource_path:
            spec["nonResourceAttributes"] = {"path": non_resource_path, "verb": verb}
        else:
            spec["resourceAttributes"] = _attributes(verb, group, resource, namespace, name, subresource)
        path, body = _review(AUTHORIZATION, "SubjectAccessReview", spec)
        status = (await self._api.ask("POST", path, documents.AccessReview, body=body)).status
        return Review(status.allowed, status.denied, _reason_of(status))

    async def probe_as(self, certificate: bytes, private_key: bytes, path: str = KUBE_SYSTEM) -> Probe:
        """What an API server answers a client certificate (PEM) that asks for this path.

        The request shows this certificate and nothing of this server's own, over a connection of its own. Every status
        is a result; an error is only what keeps the question from being answered.
        """
        answer = await self._send_as(certificate, private_key, "GET", path)
        status = status_of(answer)
        names_user = _user_in(status.message) if status is not None and answer.status == 403 else None
        by_cluster_ca = self._access.server_ca is not None
        return Probe(answer.status, names_user, _kind_of(answer, status, path), by_cluster_ca)

    async def list_rules_as(self, certificate: bytes, private_key: bytes, namespace: str) -> RulesReview:
        """What a client certificate (PEM) may do in a namespace and with paths, as the API server tells itself.

        Raises ClusterError, also where the certificate is not accepted.
        """
        path, body = _review(AUTHORIZATION, "SelfSubjectRulesReview", {"namespace": namespace})
        answer = await self._send_as(certificate, private_key, "POST", path, body)
        status = self._api.decoded("POST", path, answer, documents.RulesReview).status
        rules = [*(status.resource_rules or ()), *(status.non_resource_rules or ())]
        return RulesReview(tuple(one.rule() for one in rules), status.incomplete or bool(status.evaluation_error))

    async def _send_as(
        self, certificate: bytes, private_key: bytes, method: str, path: str, body: object = None
    ) -> Answer:
        access = replace(self._access, token=None, certificate=certificate, private_key=private_key)
        headers = {"Accept": JSON, "User-Agent": MANAGER, **({} if body is None else {"Content-Type": JSON})}
        return await self._connections.send(
            access,
            method,
            access.endpoint + path,
            asked=self._api.asked(method, path),
            headers=headers,
            body=None if body is None else msgspec.json.encode(body),
            once=True,
        )

    # --- certificates ---------------------------------------------------------------------------------------

    async def create_csr(self, name: str, csr_pem: str, seconds: int, labels: Mapping[str, str]) -> CsrState:
        """A new request for a client certificate of so many seconds, 600 at least. Raises AlreadyThere.

        Before Kubernetes 1.22 the seconds are dropped silently: compare the certificate.
        """
        document = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": name, "labels": dict(labels)},
            "spec": {
                "request": base64.b64encode(csr_pem.encode()).decode(),
                "signerName": SIGNER_NAME,
                "expirationSeconds": seconds,
                "usages": ["digital signature", "client auth"],
            },
        }
        return _csr_state(await self._api.ask("POST", REQUESTS, documents.CertificateSigningRequest, body=document))

    async def approve_csr(self, name: str, *, uid: str | None = None) -> CsrState:
        """The request, now approved unless it was decided before: two requests.

        uid: whose approval is meant. Raises Conflict where another request has come into its place.
        """
        path = f"{REQUESTS}/{_segment(name)}"
        document = await self._api.ask("GET", path, dict[str, Any])
        found = self._api.converted("GET", path, document, documents.CertificateSigningRequest)
        if uid is not None and found.metadata.uid != uid:
            raise Conflict(
                f"{self._api.asked('GET', path)} answers with another request of this name.", 409, "Conflict"
            )
        if found.has("Approved") or found.has("Denied"):
            return _csr_state(found)
        approval = {
            "type": "Approved",
            "status": "True",
            "reason": "Kubecustody",
            "message": "Approved by Kubecustody, which asked for it.",
        }
        status = document.setdefault("status", {})
        status["conditions"] = [*(status.get("conditions") or ()), approval]
        target = f"{path}/approval"
        return _csr_state(await self._api.ask("PUT", target, documents.CertificateSigningRequest, body=document))

    async def get_csr(self, name: str) -> CsrState:
        """The request as it is. Raises NotFound: Kubernetes deletes it about an hour after it was decided."""
        path = f"{REQUESTS}/{_segment(name)}"
        return _csr_state(await self._api.ask("GET", path, documents.CertificateSigningRequest))

    async def wait_for_csr(self, state: CsrState, most_looks: int) -> CsrState:
        """The request once it is signed, denied or failed, or as it is after so many looks, four a second."""
        for _ in range(most_looks):
            if state.certificate is not None or state.denied or state.failed:
                break
            await asyncio.sleep(_LOOK_SECONDS)
            state = await self.get_csr(state.name)
        return state

    async def delete_csr(self, name: str, *, uid: str | None = None) -> None:
        """Let there be no such request. Raises NotFound, and Conflict where it is not the one with this uid."""
        await self._api.delete(f"{REQUESTS}/{_segment(name)}", {"uid": uid} if uid else {})

    # --- RBAC -----------------------------------------------------------------------------------------------

    async def list_bindings(self) -> list[SeenBinding]:
        """All ClusterRoleBindings, and the RoleBindings of all namespaces. Raises TooBig for more than 20,000."""
        found = await self._api.list_items(f"{RBAC}/clusterrolebindings", documents.Binding)
        found += await self._api.list_items(f"{RBAC}/rolebindings", documents.Binding, already=len(found))
        return [one.seen() for one in found]

    async def create_binding(
        self,
        kind: str,
        namespace: str,
        name: str,
        *,
        role_kind: str,
        role_name: str,
        subjects: Sequence[Subject],
        labels: Mapping[str, str],
    ) -> SeenBinding:
        """A new binding. Raises AlreadyThere; Forbidden where this server may not bind that role."""
        document = documents.binding_document(kind, namespace, name, role_kind, role_name, subjects, labels)
        return (await self._api.ask("POST", _bindings(kind, namespace), documents.Binding, body=document)).seen()

    async def replace_binding(
        self,
        kind: str,
        namespace: str,
        name: str,
        *,
        resource_version: str,
        subjects: Sequence[Subject],
        labels: Mapping[str, str] | None = None,
    ) -> SeenBinding:
        """The binding with other subjects, and with these labels besides its own; all else in it stays.

        It is a merge patch, for which Kubernetes asks the verb patch. Raises Conflict unless the binding still has
        this version, NotFound.
        """
        if not resource_version:
            raise ValueError("without a resource version a change of somebody else's could be lost")
        metadata: dict[str, Any] = {"resourceVersion": resource_version}
        if labels is not None:
            metadata["labels"] = dict(labels)
        patch = {"metadata": metadata, "subjects": documents.subject_documents(subjects)}
        path = f"{_bindings(kind, namespace)}/{_segment(name)}"
        return (await self._api.ask("PATCH", path, documents.Binding, body=patch, content_type=MERGE_PATCH)).seen()

    async def delete_binding(self, kind: str, namespace: str, name: str, *, uid: str, resource_version: str) -> None:
        """Let the binding that was seen be no more. Raises Conflict if it is not as it was seen, NotFound."""
        path = f"{_bindings(kind, namespace)}/{_segment(name)}"
        await self._api.delete(path, {"uid": uid, "resourceVersion": resource_version})

    async def get_role_rules(self, role_kind: str, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """The rules of a ClusterRole, or of a Role in a namespace, as they are; None where there is no such role."""
        within = "clusterroles" if role_kind == CLUSTER_ROLE else f"namespaces/{_segment(namespace)}/roles"
        try:
            found = await self._api.ask("GET", f"{RBAC}/{within}/{_segment(name)}", documents.Role)
        except NotFound:
            return None
        return tuple(one.rule() for one in found.rules or ())

    async def list_cluster_role_names(self) -> list[str]:
        """The names of all ClusterRoles, sorted."""
        return await self._api.list_names(f"{RBAC}/clusterroles")

    # --- setting it up --------------------------------------------------------------------------------------

    async def find_labels(self, document: Mapping[str, Any]) -> Mapping[str, str] | None:
        """The labels of the object that this document is about; None where there is none yet."""
        try:
            return (await self._api.ask("GET", _path_of(document), documents.Named)).metadata.labels
        except NotFound:
            return None

    async def apply(self, document: Mapping[str, Any]) -> None:
        """Let there be an object as this document has it, by server-side apply. Raises Forbidden, RequestRejected."""
        path = _path_of(document)
        await self._api.ask("PATCH", path, documents.Named, query={"force": "true"}, body=document, content_type=APPLY)

    async def request_token(self, namespace: str, name: str, seconds: int) -> IssuedToken:
        """A new token of a ServiceAccount for the API server, of so many seconds at most. Raises Forbidden."""
        path = f"/api/v1/namespaces/{_segment(namespace)}/serviceaccounts/{_segment(name)}/token"
        body = {"apiVersion": AUTHENTICATION, "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
        status = (await self._api.ask("POST", path, documents.TokenRequest, body=body)).status
        try:
            expires_at = parse_time(status.expiration_timestamp)
        except ValueError:
            raise NotKubernetes(f"{self._api.asked('POST', path)}: the token has no end that is one.") from None
        return IssuedToken(status.token, expires_at)


def _time_of(answer: Answer) -> int | None:
    """When an answer was given, by the clock of who gave it."""
    try:
        return int(parsedate_to_datetime(answer.date or "").timestamp())
    except (ValueError, OverflowError):
        return None


def _join(host: str, port: int | None) -> str:
    """HOST:PORT, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _segment(name: str) -> str:
    """A name as a part of a path. Without one the path would mean everything of its kind."""
    if name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name of an object")
    return quote(name, safe="")


def _path_of(document: Mapping[str, Any]) -> str:
    """The path of the object that a document is about."""
    version, metadata = document["apiVersion"], document["metadata"]
    root = f"/api/{version}" if version == "v1" else f"/apis/{version}"
    within = f"/namespaces/{_segment(metadata['namespace'])}" if "namespace" in metadata else ""
    return f"{root}{within}/{document['kind'].lower()}s/{_segment(metadata['name'])}"


def _bindings(kind: str, namespace: str) -> str:
    """The path of the bindings of a kind."""
    if kind == CLUSTER_ROLE_BINDING and not namespace:
        return f"{RBAC}/clusterrolebindings"
    if kind == ROLE_BINDING:
        return f"{RBAC}/namespaces/{_segment(namespace)}/rolebindings"
    raise ValueError(f"there are no {kind!r} in namespace {namespace!r}")


def _https_ports(one: documents.EndpointSlice) -> list[documents.Port]:
    """The port that is called https, else all."""
    ports = [port for port in one.ports or () if port.port]
    return [port for port in ports if port.name == "https"] or ports


def _marker(found: documents.ConfigMap) -> Marker:
    return Marker(found.data, found.metadata.resource_version)


def _review(version: str, kind: str, spec: object) -> tuple[str, dict[str, Any]]:
    """The path of a kind of review, and its document."""
    document = {"apiVersion": version, "kind": kind}
    return f"/apis/{version}/{kind.lower()}s", document if spec is None else {**document, "spec": spec}


def _attributes(verb: str, group: str, resource: str, namespace: str, name: str, subresource: str) -> dict[str, str]:
    named = {"namespace": namespace, "name": name, "subresource": subresource}
    return {"verb": verb, "group": group, "resource": resource, **{key: one for key, one in named.items() if one}}


def _reason_of(status: documents.AccessReviewStatus) -> ReviewReason:
    if status.evaluation_error:
        return ReviewReason.EVALUATION_ERROR
    if not status.reason:
        return ReviewReason.NONE
    return ReviewReason.RBAC if status.reason.startswith("RBAC: ") else ReviewReason.OTHER


def _csr_state(found: documents.CertificateSigningRequest) -> CsrState:
    return CsrState(
        name=found.metadata.name,
        uid=found.metadata.uid,
        request_pem=found.spec.request,
        certificate=found.status.certificate or None,
        approved=found.has("Approved"),
        denied=found.has("Denied"),
        failed=found.has("Failed"),
    )


def _user_in(message: str) -> str | None:
    """Whom a message of Forbidden says it refuses; None where it names nobody."""
    found = FORBIDDEN_USER.search(message)
    if found is None:
        return None
    try:
        # Go's quoting is JSON's, but for characters that no name of ours has.
        return str(json.loads(found[1]))
    except ValueError:
        return None


def _kind_of(answer: Answer, status: documents.Status | None, path: str) -> AnswerKind:
    if status is not None:
        return AnswerKind.STATUS
    if answer.status == 500 and answer.body.startswith(AUTHORIZER_FAILED + path.encode()):
        return AnswerKind.AUTHORIZER_FAILED
    return AnswerKind.OBJECT if answer.status == 200 and _is_object(answer, path) else AnswerKind.OTHER


def _is_object(answer: Answer, path: str) -> bool:
    """Whether an answer is an object of Kubernetes'; the namespace kube-system, where that was asked for."""
    try:
        found = msgspec.json.decode(answer.body, type=documents.Named)
    except UNREADABLE:
        return False
    if path == KUBE_SYSTEM:
        return found.metadata.name == "kube-system" and bool(found.metadata.uid)
    return bool(found.kind and found.metadata.resource_version)
