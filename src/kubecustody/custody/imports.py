"""Importing what people hold already: kubeconfigs and certificates, judged against their cluster's trust."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from kubecustody.core.errors import OperatorError
from kubecustody.core.states import Credential, state_of_credential
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.clusters import get_cluster
from kubecustody.custody.installation import Custody, seal_private_key
from kubecustody.custody.principals import get_named
from kubecustody.custody.verdicts import Chain, find_holder, join_chain, load_trust, verdict_of
from kubecustody.kubeconfig.candidates import Candidate
from kubecustody.pki.certificates import Certificate
from kubecustody.pki.subjects import MASTERS_GROUP, parse_common_name, remarkable_groups
from kubecustody.pki.trust import TrustCode, Verdict, assess
from kubecustody.store.credentials import (
    KnownCredential,
    NewCredential,
    add_credential,
    add_private_key,
    find_known,
    list_all_in_cluster,
    set_chain,
    set_holder,
    set_verdicts,
    update_holding,
)
from kubecustody.store.fleet import Cluster
from kubecustody.store.transactions import Transaction


class Outcome(StrEnum):
    """What became of one certificate of an import."""

    TAKEN = "taken"
    KNOWN = "known"
    REFUSED = "refused"


class ImportRow(NamedTuple):
    """One line of the report. uid "" : nobody's; remarks: what the operator should know."""

    label: str
    outcome: Outcome
    fingerprint: str
    common_name: str
    uid: str
    state: str
    remarks: tuple[str, ...]


class _Place(NamedTuple):
    """Where certificates are imported to, and by which rules."""

    cluster: Cluster
    bundle: tuple[Certificate, ...]
    holder: str | None
    keep_private_keys: bool


async def import_credentials(
    custody: Custody,
    account_id: str,
    author: Author,
    now: float,
    candidates: Sequence[Candidate],
    *,
    which_cluster: str,
    holder: str | None = None,
    keep_private_keys: bool = False,
) -> list[ImportRow]:
    """Take the certificates of these candidates, in one change; a row for each. The same again changes nothing."""

    async def work(unit: Change) -> list[ImportRow]:
        cluster = await get_cluster(unit.tx, account_id, which_cluster)
        uid = (await get_named(unit.tx, account_id, holder)).uid if holder else None
        place = _Place(cluster, await load_trust(unit.tx, account_id, cluster), uid, keep_private_keys)
        rows, touched = [], set()
        for candidate in candidates:
            row = await _take(custody, unit, place, candidate)
            rows.append(row)
            touched.add(row.uid)
        for held_by in sorted(touched - {""}):
            await update_holding(unit.tx, account_id, held_by, cluster.seq, cluster.trust_epoch)
        return rows

    return await change(custody.store, account_id, author, now, work)


async def _take(custody: Custody, unit: Change, place: _Place, candidate: Candidate) -> ImportRow:
    leaf = candidate.leaf
    if leaf is None:
        return ImportRow(candidate.label, Outcome.REFUSED, "", "", "", "", (candidate.refusal or "",))
    if leaf.fingerprint in {member.fingerprint for member in place.bundle}:
        remark = f"It is a CA that {place.cluster.name} trusts for client certificates, and no client's certificate."
        return _row(candidate, leaf, Outcome.REFUSED, "", "", (remark,))
    chain = Chain(leaf, candidate.intermediates)
    verdict = assess(leaf, candidate.intermediates, place.bundle)
    proven = await find_holder(unit.tx, unit.account_id, leaf, verdict)
    try:
        uid = _holder(place, proven)
    except OperatorError as fault:
        return _row(candidate, leaf, Outcome.REFUSED, "", "", (str(fault),))
    new = _new_credential(place, chain, verdict, uid)
    known = await find_known(unit.tx, unit.account_id, place.cluster.seq, leaf.fingerprint)
    if known is not None:
        return await _take_known(custody, unit, place, candidate, leaf, known, new, proven)
    number = unit.take_credential_number()
    await add_credential(unit.tx, unit.account_id, number, new, unit.at)
    unit.record(
        "credential_imported",
        uid=uid,
        cluster_seq=place.cluster.seq,
        subject=f"credential/{leaf.fingerprint_hex}",
        occurred_at=leaf.not_before,
        details={
            **verdict_of(new),
            "not_after": leaf.not_after,
            "masters": new.masters,
        },
    )
    remarks = (*candidate.remarks, *_remarks(leaf, verdict, uid))
    remarks += await _keep_key(custody, unit, place, candidate, leaf, number)
    return _row(candidate, leaf, Outcome.TAKEN, uid, _state(new, unit.now), remarks)


def _holder(place: _Place, proven: str) -> str:
    """Whose a certificate is to be, which its chain proves to be `proven`'s ("" : nobody's)."""
    if place.holder is None:
        return proven
    if proven and proven != place.holder:
        raise OperatorError(
            f"The certificate's common name says that it is {proven}'s, and its chain holds; "
            f"it is not taken for {place.holder}. Import it without --holder."
        )
    return place.holder


def _new_credential(place: _Place, chain: Chain, verdict: Verdict, uid: str) -> NewCredential:
    leaf = chain.leaf
    return NewCredential(
        uid=uid,
        cluster_seq=place.cluster.seq,
        origin="imported",
        fingerprint=leaf.fingerprint,
        common_name=leaf.common_name or "",
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        vouched_until=verdict.chain_ends_at,
        trust_epoch=place.cluster.trust_epoch,
        verdict=verdict.code,
        masters=MASTERS_GROUP in leaf.organizations,
        chain=join_chain(chain),
        serial=leaf.serial,
        organizations=json.dumps(leaf.organizations),
    )


async def _take_known(
    custody: Custody,
    unit: Change,
    place: _Place,
    candidate: Candidate,
    leaf: Certificate,
    known: KnownCredential,
    new: NewCredential,
    proven: str,
) -> ImportRow:
    """A certificate that is recorded already: at most it gets a holder or a better chain, or its key is kept."""
    subject = f"credential/{leaf.fingerprint_hex}"
    uid, remarks, vouched_until = proven or known.uid or new.uid, candidate.remarks, known.vouched_until
    if uid != known.uid:
        await set_holder(unit.tx, unit.account_id, known.credential_no, uid)
        unit.record(
            "credential_matched",
            uid=uid,
            cluster_seq=place.cluster.seq,
            subject=subject,
            details={"before": known.uid},
        )
        if known.uid:
            await update_holding(unit.tx, unit.account_id, known.uid, place.cluster.seq, place.cluster.trust_epoch)
        before = f"{known.uid}'s" if known.uid else "nobody's"
        remarks += (f"It was {before} before; it is {uid}'s now.",)
    elif place.holder is not None and uid != place.holder:
        remarks += (f"It is recorded as {uid}'s, and stays so; `kubecustody admin credentials assign` changes that.",)
    if new.vouched_until is not None and (vouched_until is None or vouched_until < new.vouched_until):
        vouched_until = new.vouched_until
        await set_chain(unit.tx, unit.account_id, known.credential_no, new.chain)
        facts = (known.credential_no, uid, vouched_until, new.trust_epoch, new.verdict, new.masters)
        await set_verdicts(unit.tx, unit.account_id, [facts])
        unit.record(
            "credential_chain_completed",
            uid=uid,
            cluster_seq=place.cluster.seq,
            subject=subject,
            details=verdict_of(new),
        )
        remarks += ("This file has the certificates above it, which were missing.",)
    remarks += await _keep_key(custody, unit, place, candidate, leaf, known.credential_no)
    state = _state(new._replace(vouched_until=vouched_until), unit.now, known.removed_at)
    return _row(candidate, leaf, Outcome.KNOWN, uid, state, remarks)


async def _keep_key(
    custody: Custody, unit: Change, place: _Place, candidate: Candidate, leaf: Certificate, number: int
) -> tuple[str, ...]:
    if candidate.private_key is None or not place.keep_private_keys:
        return ()
    sealed = seal_private_key(custody.sealer, unit.account_id, number, candidate.private_key)
    if not await add_private_key(unit.tx, unit.account_id, number, sealed, unit.at):
        return ()
    unit.record("private_key_kept", cluster_seq=place.cluster.seq, subject=f"credential/{leaf.fingerprint_hex}")
    return ("Its private key is kept, sealed.",)


def _remarks(leaf: Certificate, verdict: Verdict, uid: str) -> tuple[str, ...]:
    remarks = [] if verdict.vouched else [verdict.reason]
    if verdict.code == TrustCode.NO_CLIENT_CA:
        remarks.append("Give it: `kubecustody admin clusters set CLUSTER --client-ca FILE`.")
    if leaf.is_ca:
        remarks.append("It is a CA certificate; is it a client's at all?")
    named = parse_common_name(leaf.common_name or "")
    if verdict.vouched and named and uid and named != uid:
        remarks.append(f"Its common name says {named}, whom this account does not know.")
    if not uid:
        remarks.append("Its holder is not known: say whose it is with --holder.")
    remarks += [
        f"It is of the group {group}" + (", which passes every authorizer." if group == MASTERS_GROUP else ".")
        for group in remarkable_groups(leaf.organizations)
    ]
    return tuple(remarks)


def _state(new: NewCredential, now: float, removed_at: int | None = None) -> str:
    facts = Credential(
        0, new.not_before, new.not_before, new.not_after, new.vouched_until, new.trust_epoch, removed_at=removed_at
    )
    return state_of_credential(facts, new.trust_epoch, now)


def _row(
    candidate: Candidate, leaf: Certificate, outcome: Outcome, uid: str, state: str, remarks: tuple[str, ...]
) -> ImportRow:
    return ImportRow(candidate.label, outcome, leaf.fingerprint_hex, leaf.common_name or "", uid, state, remarks)


class ListedCredential(NamedTuple):
    """A credential of a cluster as it is listed."""

    uid: str
    state: str
    not_after: int | None
    common_name: str
    fingerprint: str


async def list_credentials(custody: Custody, account_id: str, which_cluster: str, now: float) -> list[ListedCredential]:
    """Every credential of a cluster with its own state at `now`."""

    async def work(tx: Transaction) -> list[ListedCredential]:
        cluster = await get_cluster(tx, account_id, which_cluster)
        return [
            ListedCredential(
                owned.uid,
                state_of_credential(owned.held.facts, cluster.trust_epoch, now),
                owned.held.facts.not_after,
                owned.held.common_name,
                owned.held.fingerprint.hex() if owned.held.fingerprint else "",
            )
            for owned in await list_all_in_cluster(tx, account_id, cluster.seq)
        ]

    return await custody.store.read(work)


async def assign_holder(
    custody: Custody, account_id: str, author: Author, now: float, *, which_cluster: str, fingerprint: str, holder: str
) -> str:
    """Say whose an imported credential is, where that was told wrongly or not at all; the uid of the holder.

    Refused where the chain holds and the common name proves another holder.
    """

    async def work(unit: Change) -> str:
        cluster = await get_cluster(unit.tx, account_id, which_cluster)
        uid = (await get_named(unit.tx, account_id, holder)).uid
        known = await find_known(unit.tx, account_id, cluster.seq, parse_fingerprint(fingerprint))
        if known is None:
            raise OperatorError(
                f"{which_cluster} has no credential of this fingerprint. "
                f"`kubecustody admin credentials list --cluster {cluster.cluster_id}` shows them."
            )
        if known.vouched_until is not None and parse_common_name(known.common_name) == known.uid:
            raise OperatorError(f"Its common name proves that it is {known.uid}'s; that is not changed.")
        if uid != known.uid:
            await set_holder(unit.tx, account_id, known.credential_no, uid)
            unit.record(
                "credential_assigned",
                uid=uid,
                cluster_seq=cluster.seq,
                subject=f"credential/{fingerprint.lower()}",
                details={"before": known.uid},
            )
            for one in filter(None, (known.uid, uid)):
                await update_holding(unit.tx, account_id, one, cluster.seq, cluster.trust_epoch)
        return uid

    return await change(custody.store, account_id, author, now, work)


def parse_fingerprint(text: str) -> bytes:
    """The 32 bytes of a fingerprint in hex, with or without colons, in either case. Raises OperatorError."""
    try:
        fingerprint = bytes.fromhex(text.replace(":", ""))
    except ValueError:
        fingerprint = b""
    if len(fingerprint) != 32:
        raise OperatorError(
            "A fingerprint is the SHA-256 of the DER certificate, 64 hex digits: "
            "openssl x509 -in FILE -noout -fingerprint -sha256"
        )
    return fingerprint
