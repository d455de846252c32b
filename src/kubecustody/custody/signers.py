"""Which CA issues kubeconfigs for a cluster: one made here, one whose key was imported, or none."""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from kubecustody.core.errors import OperatorError
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.clusters import get_cluster, trust_bundle
from kubecustody.custody.installation import Custody, seal_signer_key
from kubecustody.custody.verdicts import load_trust
from kubecustody.pki.certificates import Certificate, format_certificates, load_certificates
from kubecustody.pki.client_certificates import load_signer
from kubecustody.pki.issuing import PemPair, make_ca
from kubecustody.store.fleet import Cluster
from kubecustody.store.issuing import find_signer, set_signer

CA_DAYS = 10 * 365


class SignerSet(NamedTuple):
    """The signer that is in force now. certificate: PEM of the CA, None where nothing issues."""

    number: int
    certificate: str | None


async def make_signer(custody: Custody, account_id: str, author: Author, now: float, which_cluster: str) -> SignerSet:
    """Make a CA for a cluster, its key sealed here, and take it into the cluster's trust.

    The cluster itself must be told: the certificate belongs into its --client-ca-file.
    """

    async def work(unit: Change) -> SignerSet:
        cluster = await get_cluster(unit.tx, account_id, which_cluster)
        pair = make_ca(f"kubecustody {cluster.cluster_id}", unit.at, CA_DAYS, random_bytes=custody.random_bytes)
        bundle = await load_trust(unit.tx, account_id, cluster)
        (certificate,) = load_certificates(pair.certificate)
        await trust_bundle(unit, cluster, format_certificates([*bundle, certificate]).encode())
        return await _put(custody, unit, cluster, pair)

    return await _change(custody, account_id, author, now, work)


async def import_signer(
    custody: Custody, account_id: str, author: Author, now: float, which_cluster: str, pair: PemPair
) -> SignerSet:
    """Let a CA issue whose key is brought here; the cluster must trust it. Raises OperatorError."""
    load_signer(pair)
    (certificate, *_) = load_certificates(pair.certificate)
    alone = PemPair(format_certificates([certificate]).encode(), pair.private_key)  # the file may hold text beside it

    async def work(unit: Change) -> SignerSet:
        cluster = await get_cluster(unit.tx, account_id, which_cluster)
        _check_trusted(certificate, await load_trust(unit.tx, account_id, cluster), cluster)
        return await _put(custody, unit, cluster, alone)

    return await _change(custody, account_id, author, now, work)


def _check_trusted(certificate: Certificate, bundle: tuple[Certificate, ...], cluster: Cluster) -> None:
    if not certificate.may_be_authority:
        raise OperatorError("The certificate is no CA.")
    if certificate.fingerprint not in {one.fingerprint for one in bundle}:
        raise OperatorError(
            f"{cluster.name} does not trust this CA as far as is known here: what it issued would be Unknown. Give it "
            f"to `kubecustody admin clusters set {cluster.cluster_id} --client-ca FILE` first."
        )


async def set_csr_signer(unit: Change, cluster: Cluster) -> int:
    """Let the cluster itself sign what it is asked for, as a part of a change; the signer's number."""
    number = await set_signer(unit.tx, unit.account_id, cluster.seq, "csr", None, None, unit.at)
    _record(unit, cluster, number, "csr")
    return number


async def let_cluster_sign(
    custody: Custody, account_id: str, author: Author, now: float, which_cluster: str
) -> SignerSet:
    """Let the cluster itself sign; it does while it is managed."""

    async def work(unit: Change) -> SignerSet:
        cluster = await get_cluster(unit.tx, account_id, which_cluster)
        return SignerSet(await set_csr_signer(unit, cluster), None)

    return await _change(custody, account_id, author, now, work)


async def end_signer(custody: Custody, account_id: str, author: Author, now: float, which_cluster: str) -> SignerSet:
    """Let nothing issue for a cluster any more; what was issued lives on."""

    async def work(unit: Change) -> SignerSet:
        cluster = await get_cluster(unit.tx, account_id, which_cluster)
        before = await find_signer(unit.tx, account_id, cluster.seq)
        if before is not None and before.kind == "none":
            return SignerSet(before.signer_no, None)
        number = await set_signer(unit.tx, account_id, cluster.seq, "none", None, None, unit.at)
        _record(unit, cluster, number, "none")
        return SignerSet(number, None)

    return await _change(custody, account_id, author, now, work)


async def _put(custody: Custody, unit: Change, cluster: Cluster, pair: PemPair) -> SignerSet:
    before = await find_signer(unit.tx, unit.account_id, cluster.seq)
    number = 1 if before is None else before.signer_no + 1
    sealed = seal_signer_key(custody.sealer, unit.account_id, cluster.seq, number, pair.private_key)
    text = pair.certificate.decode("ascii")
    await set_signer(unit.tx, unit.account_id, cluster.seq, "ca", text, sealed, unit.at)
    _record(unit, cluster, number, "ca")
    return SignerSet(number, text)


def _record(unit: Change, cluster: Cluster, number: int, kind: str) -> None:
    unit.record(
        "signer_set",
        cluster_seq=cluster.seq,
        subject=f"cluster/{cluster.cluster_id}",
        details={"signer": number, "kind": kind},
    )


async def _change(
    custody: Custody,
    account_id: str,
    author: Author,
    now: float,
    work: Callable[[Change], Coroutine[Any, Any, SignerSet]],
) -> SignerSet:
    if not author.reason.strip():
        raise OperatorError("Changing what issues kubeconfigs needs a reason.")
    return await change(custody.store, account_id, author, now, work)
