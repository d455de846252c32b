"""This server's own access to a cluster: renewed long before it ends, and tried before it takes the old one's place.

A ServiceAccount's token is renewed by a TokenRequest for that very account; a client certificate by the cluster's own
signer, and only in clusters that are managed, since a request is an object that is written there.
"""

import contextlib
from collections.abc import Callable
from dataclasses import replace

from kubecustody.cluster.access import Access, Life, dump_access, find_life, load_access
from kubecustody.cluster.client import Cluster as Reached
from kubecustody.cluster.errors import ClusterError
from kubecustody.core.errors import OperatorError
from kubecustody.core.profiles import OWN_TOKEN_SECONDS
from kubecustody.core.times import format_time
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.installation import Custody, seal_cluster_access
from kubecustody.custody.observing import OBSERVER, Finding
from kubecustody.pki.certificate_requests import make_certificate_request
from kubecustody.pki.certificates import Certificate, load_certificates
from kubecustody.pki.client_certificates import KeyType, format_private_key, make_key
from kubecustody.store import accesses
from kubecustody.store.accesses import StoredAccess
from kubecustody.store.fleet import Cluster

MASTERS = "system:masters"
GIVE_ANOTHER = "Give another with `kubecustody clusters bootstrap`, or `clusters add --replace`."

_SHORTEST_SECONDS = 600  # Kubernetes' own limit for both
_MOST_LOOKS = 40


class RenewalImpossible(OperatorError):
    """This access cannot be renewed; the text says why."""


async def renew_access(
    custody: Custody,
    account_id: str,
    cluster: Cluster,
    reached: Reached,
    kube_system_uid: str,
    clock: Callable[[], float],
    *,
    may_write: bool,
) -> Finding | None:
    """Renew this server's own access where that is due; what came of it, None where nothing is due.

    kube_system_uid: who must answer the new one. may_write: whether a request may be made in the cluster.
    """
    life = find_life(reached.access)
    if life is None or not life.is_renewal_due(clock()):
        return None
    try:
        renewed = await _renew(custody, reached, life, may_write=may_write)
        if await reached.with_access(renewed).get_kube_system_uid() != kube_system_uid:
            raise RenewalImpossible("another cluster answers the new one.")
    except (ClusterError, OperatorError) as error:
        await _note_failure(custody, account_id, cluster, reached.access, str(error), clock)
        return Finding("access", False, f"{tell_end(life)} It could not be renewed: {error} {GIVE_ANOTHER}")
    expires_at = await _replace(custody, account_id, cluster, reached.access, renewed, clock)
    return Finding("access", True, f"It was renewed, and ends at {format_time(expires_at)}.")


def tell_end(life: Life) -> str:
    """When an access ends, in a sentence."""
    if life.of_pod:
        return f"This server's access ends with its Pod, at {format_time(life.ends_at)} at the latest."
    return f"This server's access ends at {format_time(life.ends_at)}."


async def _renew(custody: Custody, reached: Reached, life: Life, *, may_write: bool) -> Access:
    """A new access like the one that there is, not yet tried. Raises ClusterError, RenewalImpossible."""
    access = reached.access
    if access.token is not None:
        if not life.name:
            raise RenewalImpossible("its token is of no ServiceAccount.")
        seconds = OWN_TOKEN_SECONDS if life.of_pod else max(_SHORTEST_SECONDS, life.ends_at - life.begins_at)
        return replace(access, token=(await reached.request_token(life.namespace, life.name, seconds)).token)
    if not may_write:
        raise RenewalImpossible("a certificate is renewed by a request in the cluster, which is only observed.")
    return await _renewed_certificate(custody, reached, max(_SHORTEST_SECONDS, life.ends_at - life.begins_at))


async def _renewed_certificate(custody: Custody, reached: Reached, seconds: int) -> Access:
    fault = why_not_signed(reached.access)
    if fault is not None:
        raise RenewalImpossible(fault)
    leaf = load_certificates(reached.access.certificate or b"")[0]
    key = make_key(KeyType(custody.settings.certificate_key_type))
    csr = make_certificate_request(
        key, common_name=leaf.common_name or "", organization=leaf.organizations[0] if leaf.organizations else ""
    )
    name = f"kubecustody-own-{custody.random_bytes(8).hex()}"
    pem = await have_signed(reached, name, csr, seconds)
    _check_same(leaf, load_certificates(pem)[0])
    return replace(reached.access, certificate=pem, private_key=format_private_key(key))


def why_not_signed(access: Access) -> str | None:
    """Why no cluster would sign another certificate like this access's; None where one may."""
    leaf = load_certificates(access.certificate or b"")[0]
    if MASTERS in leaf.organizations:
        return f"its certificate is of {MASTERS}, which no cluster signs."
    if not leaf.common_name or len(leaf.organizations) > 1:
        return "its certificate has no name, or is of several groups."
    return None


def _check_same(before: Certificate, after: Certificate) -> None:
    if (before.common_name, before.organizations) != (after.common_name, after.organizations):
        raise RenewalImpossible("the cluster signed another name than was asked for.")


async def have_signed(reached: Reached, name: str, csr: str, seconds: int) -> bytes:
    """The certificate (PEM) that the cluster signs for a request of ours, which then is no more.

    Raises ClusterError, RenewalImpossible where it does not sign.
    """
    state = await reached.create_csr(name, csr, seconds, {"app.kubernetes.io/managed-by": "kubecustody"})
    try:
        state = await reached.wait_for_csr(await reached.approve_csr(name, uid=state.uid), _MOST_LOOKS)
    finally:
        with contextlib.suppress(ClusterError):  # Kubernetes deletes it by itself after an hour
            await reached.delete_csr(name, uid=state.uid)
    if state.certificate is None:
        raise RenewalImpossible("the cluster did not sign. Look at the controller manager's signing settings.")
    return state.certificate


async def _note_failure(
    custody: Custody, account_id: str, cluster: Cluster, access: Access, fault: str, clock: Callable[[], float]
) -> None:
    """Record that an access could not be renewed; an event of it is left once, at the first time."""
    if await custody.store.read(lambda tx: accesses.find_renewal_fault(tx, account_id, cluster.seq)) == fault:
        return

    async def work(unit: Change) -> None:
        if not await _is_in_use(custody, unit, cluster, access):
            return
        before = await accesses.find_renewal_fault(unit.tx, account_id, cluster.seq)
        await accesses.set_renewal_fault(unit.tx, account_id, cluster.seq, fault, unit.at)
        if before is None:
            life = find_life(access)
            unit.record(
                "own_access_not_renewed",
                cluster_seq=cluster.seq,
                subject=f"cluster/{cluster.cluster_id}",
                details={"fault": fault, "expires_at": life.ends_at if life else None},
            )

    await change(custody.store, account_id, Author(OBSERVER), clock, work)


async def _is_in_use(custody: Custody, unit: Change, cluster: Cluster, access: Access) -> bool:
    """Whether this is still the access by which the cluster is reached."""
    stored = await accesses.find_access(unit.tx, unit.account_id, cluster.seq)
    return stored is not None and access == load_access(
        custody.open_cluster_access(unit.account_id, cluster.seq, stored.sealed)
    )


async def _replace(
    custody: Custody, account_id: str, cluster: Cluster, before: Access, after: Access, clock: Callable[[], float]
) -> int:
    """Put a new access in the place of the one that it was made by, if that is still there; when the new one ends."""
    kind = "token" if after.token else "certificate"
    life = find_life(after)
    expires_at = life.ends_at if life else 0

    async def work(unit: Change) -> None:
        if not await _is_in_use(custody, unit, cluster, before):
            return  # somebody else was faster
        sealed = seal_cluster_access(custody.sealer, account_id, cluster.seq, dump_access(after))
        await accesses.set_access(unit.tx, account_id, cluster.seq, StoredAccess(kind, sealed, expires_at), unit.at)
        unit.record(
            "own_access_renewed",
            cluster_seq=cluster.seq,
            subject=f"cluster/{cluster.cluster_id}",
            details={"kind": kind, "expires_at": expires_at},
        )

    await change(custody.store, account_id, Author(OBSERVER), clock, work)
    return expires_at
