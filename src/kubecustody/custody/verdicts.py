"""Verdicts on certificates: whether the cluster's client CA bundle vouches for them, and whose they are."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from kubecustody.custody.changes import Change
from kubecustody.pki.certificates import Certificate, load_certificate_der
from kubecustody.pki.der import elements
from kubecustody.pki.subjects import MASTERS_GROUP, parse_common_name
from kubecustody.pki.trust import Verdict, assess, load_bundle
from kubecustody.store.clusters import find_trust_bundle
from kubecustody.store.credentials import CredentialChain, list_chains, set_verdicts, update_holding
from kubecustody.store.fleet import Cluster
from kubecustody.store.principals import find_principal
from kubecustody.store.transactions import Transaction

_JUDGED_AT_ONCE = 500


class Chain(NamedTuple):
    """A certificate and what stands above it in its own file."""

    leaf: Certificate
    intermediates: tuple[Certificate, ...]


def join_chain(chain: Chain) -> bytes:
    """The certificates as they are stored: DER after DER, leaf first."""
    return b"".join(certificate.der for certificate in (chain.leaf, *chain.intermediates))


def split_chain(stored: bytes) -> Chain:
    """The certificates of a stored chain."""
    ders = [element.whole for element in elements(stored)]
    leaf, *intermediates = (load_certificate_der(der) for der in ders)
    return Chain(leaf, tuple(intermediates))


async def load_trust(tx: Transaction, account_id: str, cluster: Cluster) -> tuple[Certificate, ...]:
    """The client CA bundle in force in this cluster; empty where none is known."""
    bundle = await find_trust_bundle(tx, account_id, cluster.seq, cluster.trust_epoch)
    return _load_bundle(bundle.client_ca) if bundle is not None else ()


# A bundle is read from the store each time, and parsed once.
_load_bundle = lru_cache(maxsize=1024)(load_bundle)


async def find_holder(tx: Transaction, account_id: str, leaf: Certificate, verdict: Verdict) -> str:
    """Whose certificate this is by its common name; "" where that is nobody here.

    A common name counts only once the chain holds: anybody can write one.
    """
    if not verdict.vouched or leaf.common_name is None:
        return ""
    uid = parse_common_name(leaf.common_name)
    if uid is None or await find_principal(tx, account_id, uid) is None:
        return ""
    return uid


async def judge_cluster_anew(unit: Change, cluster: Cluster, bundle: Sequence[Certificate]) -> int:
    """Judge every certificate of the cluster by this bundle, and find holders for those that had none; how many."""
    judged, after = 0, 0
    holders: set[str] = set()
    while chains := await list_chains(unit.tx, unit.account_id, cluster.seq, after, _JUDGED_AT_ONCE):
        verdicts = [await _judge(unit, cluster, stored, bundle) for stored in chains]
        await set_verdicts(unit.tx, unit.account_id, verdicts)
        holders.update(verdict[1] for verdict in verdicts)
        holders.update(stored.uid for stored in chains)
        judged += len(chains)
        after = chains[-1].credential_no
    for uid in sorted(holders - {""}):
        await update_holding(unit.tx, unit.account_id, uid, cluster.seq, cluster.trust_epoch)
    return judged


async def _judge(
    unit: Change, cluster: Cluster, stored: CredentialChain, bundle: Sequence[Certificate]
) -> tuple[int, str, int | None, int, str, bool]:
    chain = split_chain(stored.chain)
    verdict = assess(chain.leaf, chain.intermediates, bundle)
    # What the chain proves stands above what somebody said while it proved nothing.
    uid = await find_holder(unit.tx, unit.account_id, chain.leaf, verdict) or stored.uid
    subject = f"credential/{chain.leaf.fingerprint_hex}"
    if uid != stored.uid:
        unit.record(
            "credential_matched", uid=uid, cluster_seq=cluster.seq, subject=subject, details={"before": stored.uid}
        )
    after = {"verdict": verdict.code, "vouched_until": verdict.chain_ends_at}
    if after != {"verdict": stored.verdict, "vouched_until": stored.vouched_until}:
        unit.record("verdict_changed", uid=uid, cluster_seq=cluster.seq, subject=subject, details=after)
    masters = MASTERS_GROUP in chain.leaf.organizations
    return stored.credential_no, uid, verdict.chain_ends_at, cluster.trust_epoch, verdict.code, masters
