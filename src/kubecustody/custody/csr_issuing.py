"""Having a cluster sign: a CertificateSigningRequest of ours, approved by us, and what came of it recorded.

(Kubernetes, "Certificates and Certificate Signing Requests", read 2026-11-24.) Every step can be done again: the
request has the name of what was recorded before, only that very request is approved, and what is recorded once is not
recorded twice. A pass over the cluster completes what was cut off.
"""

import contextlib
from collections.abc import Callable

from kubecustody.cluster.client import Cluster as Reached
from kubecustody.cluster.client import CsrState
from kubecustody.cluster.errors import AlreadyThere, ClusterError, NotFound
from kubecustody.core.errors import ClusterNotUsable, ClusterStateForbids
from kubecustody.core.issuing import DAY_SECONDS
from kubecustody.custody.acts import Act
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.installation import Custody
from kubecustody.custody.issuing import Begun, Kubeconfig, Wish, lives_too_long, record_signed
from kubecustody.custody.observing import OBSERVER, open_cluster
from kubecustody.pki.certificates import Certificate, load_certificates
from kubecustody.pki.subjects import USERS_GROUP
from kubecustody.store.accesses import Reach, find_reach
from kubecustody.store.clusters import find_cluster_by_seq
from kubecustody.store.pending import PendingIssue, drop_pending, list_pending
from kubecustody.store.transactions import Transaction

_MOST_LOOKS = 60
_LEFT_ALONE_SECONDS = 60  # whoever began it may still be at it
_GIVEN_UP_SECONDS = 600
_LABELS = {"app.kubernetes.io/managed-by": "kubecustody"}


async def finish_issue(act: Act, begun: Begun) -> Kubeconfig:
    """What the cluster signed, as a kubeconfig. Raises ClusterNotUsable where it does not, ClusterStateForbids."""

    async def prepare(tx: Transaction) -> tuple[Reached | None, Reach]:
        reached = await open_cluster(act.custody, tx, act.account_id, begun.cluster_seq)
        return reached, await find_reach(tx, act.account_id, begun.cluster_seq)

    reached, reach = await act.read(prepare)
    if reached is None:
        raise ClusterStateForbids(begun.wish.cluster_id, "this server has no access to it.")
    try:
        if await reached.get_kube_system_uid() != reach.kube_system_uid:
            raise ClusterNotUsable("another cluster answers there; nothing is asked of it.")
        signed = await _have_signed(reached, begun.pending)
    except ClusterError as error:
        raise ClusterNotUsable(f"it did not sign, and is asked again later. {error}") from error
    leaf, chain = _check_signed(begun.pending, signed)

    async def work(unit: Change) -> Kubeconfig | None:
        return await record_signed(act.custody, unit, begun, chain, leaf)

    kubeconfig = await act.change(work)
    await _forget(reached, begun.pending)
    if kubeconfig is None:
        if not begun.discloses:
            return Kubeconfig("", leaf.not_after)
        raise ClusterStateForbids(begun.wish.cluster_id, _why_not_given(begun.pending, leaf))
    return kubeconfig


def _why_not_given(pending: PendingIssue, leaf: Certificate) -> str:
    if lives_too_long(pending, leaf):
        days = (leaf.not_after - leaf.not_before) / DAY_SECONDS
        return (
            "its signer takes no note of how long it is asked to sign for, as before Kubernetes 1.22: it signed for "
            f"{days:.1f} days, so that this is given to nobody, and is being removed. Asking again does not help. Have "
            "a CA that is kept here issue for it (`kubecustody admin clusters signer`), or ask for as long as it signs."
        )
    return "what it signed was cleaned meanwhile, and is being removed. Ask again."


def _name_of(pending: PendingIssue) -> str:
    return f"kubecustody-{pending.cn}"


async def _have_signed(reached: Reached, pending: PendingIssue) -> bytes:
    """The certificate (PEM) of the request, which is made, approved and waited for. Raises ClusterError."""
    name = _name_of(pending)
    try:
        state = await reached.create_csr(name, pending.csr, pending.life_seconds, _LABELS)
    except AlreadyThere:
        state = await reached.get_csr(name)
    _check_ours(pending, state)
    if not state.approved:
        state = await reached.approve_csr(name, uid=state.uid)
    state = await reached.wait_for_csr(state, _MOST_LOOKS)
    if state.certificate is not None:
        return state.certificate
    word = "denied" if state.denied else "failed" if state.failed else "left unsigned"
    raise ClusterNotUsable(f"its signer {word} the request {name}. Look at the controller manager's signing settings.")


def _check_ours(pending: PendingIssue, state: CsrState) -> None:
    """Only the very request that was recorded is approved: a foreign one of its name never is."""
    if state.request_pem.decode("ascii", "replace").strip() != pending.csr.strip():
        raise ClusterNotUsable(f"there is a foreign request called {_name_of(pending)}; it is left alone.")


def _check_signed(pending: PendingIssue, pem: bytes) -> tuple[Certificate, bytes]:
    """The certificate, and its chain as DER after DER. Raises ClusterNotUsable unless it is what was asked for."""
    (leaf, *above) = load_certificates(pem)
    if (leaf.common_name, leaf.organizations) != (pending.cn, (USERS_GROUP,)):
        raise ClusterNotUsable("it signed another name than was asked for.")
    return leaf, b"".join(one.der for one in (leaf, *above))


async def _forget(reached: Reached, pending: PendingIssue) -> None:
    with contextlib.suppress(ClusterError):  # Kubernetes deletes it by itself after an hour
        await reached.delete_csr(_name_of(pending))


async def complete_pending(
    custody: Custody, account_id: str, cluster_seq: int, reached: Reached, clock: Callable[[], float]
) -> int:
    """Complete issues whose beginner went away, or give them up; how many. Raises ClusterError."""

    async def load(tx: Transaction) -> tuple[list[PendingIssue], str]:
        cluster = await find_cluster_by_seq(tx, account_id, cluster_seq)
        return await list_pending(tx, account_id, cluster_seq), cluster.cluster_id if cluster else ""

    waiting, cluster_id = await custody.store.read(load)
    done = 0
    for pending in waiting:
        age = clock() - pending.begun_at
        if age >= _LEFT_ALONE_SECONDS:
            await _complete_one(custody, account_id, cluster_seq, cluster_id, reached, pending, clock, age)
            done += 1
    return done


async def _complete_one(
    custody: Custody,
    account_id: str,
    cluster_seq: int,
    cluster_id: str,
    reached: Reached,
    pending: PendingIssue,
    clock: Callable[[], float],
    age: float,
) -> None:
    begun = Begun(Wish(pending.uid, cluster_id, False, pending.temporary_minutes), cluster_seq, pending, False)
    state = await _find_ours(reached, pending)
    certificate = None if state is None else state.certificate
    # What was not even approved nobody waits for any more; what is approved may still be signed.
    is_over = state is None or not state.approved or age >= _GIVEN_UP_SECONDS

    async def work(unit: Change) -> None:
        if certificate is not None:
            leaf, chain = _check_signed(pending, certificate)
            await record_signed(custody, unit, begun, chain, leaf)
        elif is_over:
            await drop_pending(unit.tx, account_id, cluster_seq, pending.cn)
            unit.record("issue_given_up", uid=pending.uid, cluster_seq=cluster_seq, details={"name": pending.cn})

    await change(custody.store, account_id, Author(OBSERVER), clock, work)
    if state is not None and (certificate is not None or is_over):
        await _forget(reached, pending)


async def _find_ours(reached: Reached, pending: PendingIssue) -> CsrState | None:
    """The request as the cluster has it; None where it has none, or a foreign one of its name. Raises ClusterError."""
    try:
        state = await reached.get_csr(_name_of(pending))
        _check_ours(pending, state)
    except (NotFound, ClusterNotUsable):
        return None
    return state
