"""How the server gets into a cluster: where it is, who vouches for it, and as whom it is asked.

An Access is plain data, so that it can be sealed. What a kubeconfig only points at (a program, a file, a provider,
a proxy) is never followed: only what stands in it counts.
"""

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from kubecustody.core.errors import OperatorError
from kubecustody.core.urls import split_url
from kubecustody.kubeconfig.document import (
    KubeconfigCluster,
    KubeconfigDocument,
    KubeconfigUser,
    parse_kubeconfig,
)
from kubecustody.pki.certificates import (
    CertificateUnreadable,
    PrivateKeyUnreadable,
    format_certificates,
    key_matches,
    load_certificates,
    load_private_key,
    private_key_pem,
)
from kubecustody.pki.tls import HostUnusable, parse_hosts

OWN_CREDENTIAL = (
    "Make a ServiceAccount token or a client certificate for this server, and put it into the kubeconfig itself "
    "(`kubectl config view --flatten --raw` embeds files)."
)

# RFC 6750, 2.1; and of a URL's path only what needs no escape: what Rancher's addresses have.
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
LONGEST_TOKEN = 16_384


class AccessRefused(OperatorError):
    """With this the server cannot, or will not, get into a cluster; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """The way into one cluster. Raises AccessRefused where an endpoint or token is none, or a key stands alone.

    endpoint: https://HOST[:PORT][/PATH]. server_ca, certificate and private_key are PEM; without server_ca the
    system's CAs vouch. tls_server_name: what the server's certificate must be for, in place of the endpoint's host.
    """

    endpoint: str
    server_ca: bytes | None = None
    tls_server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    certificate: bytes | None = None
    private_key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_endpoint(self.endpoint)
        if self.tls_server_name is not None:
            _check_host(self.tls_server_name, "tls-server-name")
        if (self.certificate is None) != (self.private_key is None):
            raise AccessRefused(f"A client certificate and its key come together or not at all. {OWN_CREDENTIAL}")
        if self.token is not None and not (len(self.token) <= LONGEST_TOKEN and TOKEN.fullmatch(self.token)):
            raise AccessRefused("The token is none: it has characters that no bearer token has, or is too long.")


def dump_access(access: Access) -> bytes:
    """JSON that `load_access` reads. It holds the secrets: seal it."""
    return msgspec.json.encode(access)


def load_access(data: bytes) -> Access:
    """The Access of what `dump_access` wrote. Raises AccessRefused."""
    try:
        return msgspec.json.decode(data, type=Access)
    except msgspec.DecodeError:
        # msgspec's text could repeat a member's name, and nothing more; even so, only what it is about is told.
        raise AccessRefused(
            "The stored way into the cluster is not one: give the cluster's kubeconfig again."
        ) from None


def access_from_kubeconfig(data: bytes, *, context: str | None = None, token: str | None = None) -> Access:
    """The way that a kubeconfig's context describes, its current one unless named.

    Raises AccessRefused, KubeconfigUnreadable.
    """
    document = parse_kubeconfig(data)
    cluster, user = _cluster_and_user(document, context or document.current_context)
    return access_from_candidate(cluster, user, token=token)


def access_from_candidate(cluster: KubeconfigCluster, user: KubeconfigUser, *, token: str | None = None) -> Access:
    """The way that a cluster and a user of a kubeconfig describe. Raises AccessRefused, which says what to do.

    token: the user's bearer token, if not the file's; where there is one, a certificate need not be there.
    """
    token = token or user.token
    if cluster.faults:
        raise AccessRefused(f"The kubeconfig's cluster is not taken. {' '.join(cluster.faults)}")
    if not cluster.server:
        raise AccessRefused("The kubeconfig's cluster names no server: it must be https://HOST[:PORT].")
    certificate, key = _certificate_and_key(user, needed=token is None)
    return Access(
        endpoint=cluster.server.rstrip("/"),
        server_ca=_authority(cluster.certificate_authority),
        tls_server_name=cluster.tls_server_name,
        token=token,
        certificate=certificate,
        private_key=key,
    )


class Life(NamedTuple):
    """From when to when an access is good, as it says itself.

    namespace and name: of the ServiceAccount whose token it is, else "". of_pod: it ends with the Pod that it is of.
    """

    begins_at: int
    ends_at: int
    namespace: str = ""
    name: str = ""
    of_pod: bool = False

    def is_renewal_due(self, now: float) -> bool:
        """Whether half of it is over; that of a Pod's token, which may go any time, always is."""
        return self.of_pod or now >= self.begins_at + (self.ends_at - self.begins_at) / 2


def find_life(access: Access) -> Life | None:
    """The life of an access, None where it tells of none. Only the API server knows whether what it says is true."""
    if access.token is None:
        leaf = load_certificates(access.certificate or b"")[0]
        return Life(leaf.not_before, leaf.not_after)
    try:
        claims = msgspec.json.decode(_payload(access.token), type=_Claims)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None  # no JSON Web Token: a token without an end, as far as is known
    if claims.exp is None:
        return None
    begins_at = int(claims.exp if claims.iat is None else claims.iat)
    match claims.sub.split(":"):
        case ["system", "serviceaccount", namespace, name]:
            return Life(begins_at, int(claims.exp), namespace, name, claims.kubernetes.pod is not None)
        case _:
            return Life(begins_at, int(claims.exp))


class _KubernetesClaims(msgspec.Struct):
    pod: dict[str, str] | None = None


class _Claims(msgspec.Struct):
    """Of a ServiceAccount's token (RFC 7519; Kubernetes, "Managing Service Accounts", read 2026-11-24)."""

    exp: int | float | None = None
    iat: int | float | None = None
    sub: str = ""
    kubernetes: _KubernetesClaims = msgspec.field(name="kubernetes.io", default_factory=_KubernetesClaims)


def _payload(token: str) -> bytes:
    middle = token.split(".")[1] if token.count(".") == 2 else ""
    return base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4))


def _cluster_and_user(document: KubeconfigDocument, name: str | None) -> tuple[KubeconfigCluster, KubeconfigUser]:
    context = next((one for one in document.contexts if one.name == name), None)
    if context is None:
        raise AccessRefused("Say which context of the kubeconfig is meant: it has no current one, or none so named.")
    cluster = next((one for one in document.clusters if one.name == context.cluster), None)
    user = next((one for one in document.users if one.name == context.user), None)
    if cluster is None or user is None:
        raise AccessRefused("The kubeconfig's context names a cluster or a user that is not in it.")
    return cluster, user


def _authority(pem: bytes | None) -> bytes | None:
    """The certificates alone, as they are trusted; None for the system's."""
    if pem is None:
        return None
    try:
        return format_certificates(load_certificates(pem)).encode()
    except CertificateUnreadable as fault:
        raise AccessRefused(f"certificate-authority-data: {fault}") from fault


def _certificate_and_key(user: KubeconfigUser, *, needed: bool) -> tuple[bytes | None, bytes | None]:
    if user.client_certificate is None or user.client_key is None:
        if not needed and user.client_certificate is None and user.client_key is None:
            return None, None
        raise AccessRefused(f"The kubeconfig's user is not taken. {' '.join([*user.faults, OWN_CREDENTIAL])}")
    try:
        chain = load_certificates(user.client_certificate)
        if not key_matches(chain[0], load_private_key(user.client_key)):
            raise AccessRefused("The private key of the kubeconfig's user belongs to another certificate.")
        return format_certificates(chain).encode(), private_key_pem(user.client_key)
    except (CertificateUnreadable, PrivateKeyUnreadable) as fault:
        raise AccessRefused(f"The kubeconfig's user is not taken. {fault}") from fault


def check_endpoint(endpoint: str) -> None:
    """Raises AccessRefused, without repeating an endpoint that may hold a password."""
    wanted = "it must be https://HOST[:PORT]"
    if not endpoint.startswith("https://"):
        raise AccessRefused(f"The cluster's endpoint is not https: {wanted}, since what is not TLS proves nobody.")
    try:
        parts = split_url(endpoint)
    except ValueError:
        raise AccessRefused(f"The cluster's endpoint has a host or port that is none: {wanted}.") from None
    if "@" in parts.netloc:
        raise AccessRefused(f"The cluster's endpoint has a user name or password in it: {wanted}.")
    if not PATH.fullmatch(parts.path) or set(parts.path.split("/")) & {".", ".."} or "?" in endpoint or "#" in endpoint:
        raise AccessRefused(f"The cluster's endpoint has more behind its host than a plain path: {wanted}.")
    _check_host(parts.hostname or "", "endpoint")


def _check_host(host: str, what: str) -> None:
    try:
        (parsed,) = parse_hosts([host])
    except HostUnusable:
        raise AccessRefused(f"The cluster's {what} names no host: wanted is a DNS name or an IP address.") from None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.scope_id:
        raise AccessRefused(f"The cluster's {what} has an address with a zone, which means this machine's own link.")
