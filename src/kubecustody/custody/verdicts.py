"""Verdicts on certificates: whether the cluster's client CA bundle vouches for them, and whose they are."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import NamedTuple

from kubecustody.custody.changes import Change
from kubecustody.pki.certificates import Certificate, load_certificate_der
from kubecustody.pki.der import elements
from kubecustody.pki.subjects import MASTERS_GROUP, parse_common_name
from kubecustody.pki.trust import Verdict, assess, load_bundle
from kubecustody.store.clusters import find_trust_bundle
from kubecustody.store.credentials import CredentialChain, NewCredential, list_chains, set_verdicts, update_holding
from kubecustody.store.fleet import Cluster
from kubecustody.store.principals import find_principal
from kubecustody.store.transactions import Store, Transaction

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
    return load_bundle_once(bundle.client_ca) if bundle is not None else ()


# A bundle is read from the store each time, and parsed once.
load_bundle_once = lru_cache(maxsize=1024)(load_bundle)


async def find_holder(tx: Transaction, account_id: str, leaf: Certificate, verdict: Verdict) -> str:
    """Whose certificate this is by its common name; "" where that is nobody here.

    A common name counts only once the chain holds: anybody can write one.
    """
    uid = _named_uid(leaf, verdict)
    return uid if uid and await find_principal(tx, account_id, uid) is not None else ""


def _named_uid(leaf: Certificate, verdict: Verdict) -> str:
    if not verdict.vouched or leaf.common_name is None:
        return ""
    return parse_common_name(leaf.common_name) or ""


def verdict_of(new: NewCredential) -> dict[str, str | int | None]:
    """What an event says of the verdict on a credential, so that its past states can be derived."""
    return {"verdict": new.verdict, "vouched_until": new.vouched_until, "trust_epoch": new.trust_epoch}


class Judgement(NamedTuple):
    """What a bundle says of a stored chain. named_uid: of the common name, where the chain holds; else ""."""

    fingerprint_hex: str
    code: str
    chain_ends_at: int | None
    named_uid: str
    masters: bool


Judgements = Mapping[bytes, Judgement]  # by the SHA-256 of the stored chain
NO_JUDGEMENTS: Judgements = MappingProxyType({})


async def judge_ahead(
    store: Store, account_id: str, cluster_seq: int, bundle: Sequence[Certificate]
) -> dict[bytes, Judgement]:
    """What this bundle says of every certificate of the cluster, found out without holding up anybody who writes."""
    found: dict[bytes, Judgement] = {}
    after = 0

    async def read(tx: Transaction) -> list[CredentialChain]:
        return await list_chains(tx, account_id, cluster_seq, after, _JUDGED_AT_ONCE)

    while chains := await store.read(read):
        found |= await asyncio.to_thread(_judge_all, chains, bundle)
        after = chains[-1].credential_no
    return found


def _judge_all(chains: Sequence[CredentialChain], bundle: Sequence[Certificate]) -> dict[bytes, Judgement]:
    return {_key(one.chain): _judge_chain(one.chain, bundle) for one in chains}


def _key(chain: bytes) -> bytes:
    return sha256(chain).digest()


def _judge_chain(stored: bytes, bundle: Sequence[Certificate]) -> Judgement:
    leaf, intermediates = split_chain(stored)
    verdict = assess(leaf, intermediates, bundle)
    return Judgement(
        leaf.fingerprint_hex,
        verdict.code,
        verdict.chain_ends_at,
        _named_uid(leaf, verdict),
        MASTERS_GROUP in leaf.organizations,
    )


async def judge_cluster_anew(
    unit: Change, cluster: Cluster, bundle: Sequence[Certificate], ahead: Judgements = NO_JUDGEMENTS
) -> int:
    """Judge every certificate of the cluster by this bundle, and find holders for those that had none; how many.

    ahead: what was found out of some of them before, by the same bundle.
    """
    judged, after = 0, 0
    holders: set[str] = set()
    while chains := await list_chains(unit.tx, unit.account_id, cluster.seq, after, _JUDGED_AT_ONCE):
        verdicts = [
            await _apply(unit, cluster, stored, ahead.get(_key(stored.chain)) or _judge_chain(stored.chain, bundle))
            for stored in chains
        ]
        await set_verdicts(unit.tx, unit.account_id, verdicts)
        holders.update(verdict[1] for verdict in verdicts)
        holders.update(stored.uid for stored in chains)
        judged += len(chains)
        after = chains[-1].credential_no
    for uid in sorted(holders - {""}):
        await update_holding(unit.tx, unit.account_id, uid, cluster.seq, cluster.trust_epoch)
    return judged


async def _apply(
    unit: Change, cluster: Cluster, stored: CredentialChain, judged: Judgement
) -> tuple[int, str, int | None, int, str, bool]:
    # What the chain proves stands above what somebody said while it proved nothing.
    uid = judged.named_uid
    if uid != stored.uid and (not uid or await find_principal(unit.tx, unit.account_id, uid) is None):
        uid = stored.uid
    subject = f"credential/{judged.fingerprint_hex}"
    if uid != stored.uid:
        unit.record(
            "credential_matched", uid=uid, cluster_seq=cluster.seq, subject=subject, details={"before": stored.uid}
        )
    after = {"verdict": judged.code, "vouched_until": judged.chain_ends_at}
    if after != {"verdict": stored.verdict, "vouched_until": stored.vouched_until}:
        unit.record("verdict_changed", uid=uid, cluster_seq=cluster.seq, subject=subject, details=after)
    return stored.credential_no, uid, judged.chain_ends_at, cluster.trust_epoch, judged.code, judged.masters
