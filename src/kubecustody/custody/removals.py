"""Removal on an operator's word, for a cluster that the service cannot reach.

An attestation is shown as such and proves nothing: it lapses at the first contact with the cluster, which has
to prove it anew.
"""

import json
from typing import NamedTuple

from kubecustody.core.errors import OperatorError
from kubecustody.core.states import RemovedBy
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.clusters import get_cluster
from kubecustody.custody.imports import parse_fingerprint
from kubecustody.custody.installation import Custody
from kubecustody.custody.principals import get_named
from kubecustody.store.clusters import find_observation
from kubecustody.store.credentials import (
    OwnedCredential,
    Removal,
    add_removal,
    find_known,
    list_all_in_cluster,
    list_numbers_by_serial,
    set_removed,
    update_holding,
)
from kubecustody.store.fleet import Cluster
from kubecustody.store.transactions import Transaction


class Selection(NamedTuple):
    """Which credentials of a cluster are meant: exactly one of the three. Hex in either case."""

    fingerprint: str | None = None
    serial: str | None = None
    user: str | None = None


class AttestedRow(NamedTuple):
    """One credential of an attestation, and whether it changed."""

    fingerprint: str
    uid: str
    changed: bool
    remark: str


async def attest_removal(
    custody: Custody, account_id: str, author: Author, now: float, *, which_cluster: str, selection: Selection
) -> list[AttestedRow]:
    """Record an operator's word that these credentials are powerless; the author's reason is kept with it."""
    _check_reason(author)

    async def work(unit: Change) -> list[AttestedRow]:
        cluster = await get_cluster(unit.tx, account_id, which_cluster)
        observation = await find_observation(unit.tx, account_id, cluster.seq)
        if observation is not None and observation.reachable:
            raise OperatorError(
                f"{which_cluster} can be reached: removal there is proved by the cluster, not attested."
            )
        return [
            await attest_one(unit, cluster, owned) for owned in await _select(unit.tx, account_id, cluster, selection)
        ]

    return await change(custody.store, account_id, author, now, work)


async def withdraw_attestation(
    custody: Custody, account_id: str, author: Author, now: float, *, which_cluster: str, selection: Selection
) -> list[AttestedRow]:
    """Take an attestation back: the credential is again what its certificate says. The wish for removal stays."""
    _check_reason(author)

    async def work(unit: Change) -> list[AttestedRow]:
        cluster = await get_cluster(unit.tx, account_id, which_cluster)
        return [
            await withdraw_one(unit, cluster, owned) for owned in await _select(unit.tx, account_id, cluster, selection)
        ]

    return await change(custody.store, account_id, author, now, work)


def _check_reason(author: Author) -> None:
    if not author.reason.strip():
        raise OperatorError("An attestation needs a reason: who says so, and why it is true.")


async def _select(tx: Transaction, account_id: str, cluster: Cluster, selection: Selection) -> list[OwnedCredential]:
    if sum(value is not None for value in selection) != 1:
        raise OperatorError("Say which credentials: one of --fingerprint, --serial or --user.")
    everything = await list_all_in_cluster(tx, account_id, cluster.seq)
    if selection.user is not None:
        uid = (await get_named(tx, account_id, selection.user)).uid
        chosen = [owned for owned in everything if owned.uid == uid]
    else:
        numbers = await _numbers(tx, account_id, cluster, selection)
        chosen = [owned for owned in everything if owned.held.facts.number in numbers]
    if not chosen:
        raise OperatorError(
            f"No credential of {cluster.name} is meant by that; nothing was changed. "
            f"`kubecustody admin credentials list --cluster {cluster.cluster_id}` shows them."
        )
    return chosen


async def _numbers(tx: Transaction, account_id: str, cluster: Cluster, selection: Selection) -> list[int]:
    if selection.serial is not None:
        serial = selection.serial.replace(":", "").lower().lstrip("0") or "0"
        return await list_numbers_by_serial(tx, account_id, cluster.seq, serial)
    fingerprint = parse_fingerprint(selection.fingerprint or "")
    known = await find_known(tx, account_id, cluster.seq, fingerprint)
    return [known.credential_no] if known else []


async def attest_one(unit: Change, cluster: Cluster, owned: OwnedCredential, reason: str | None = None) -> AttestedRow:
    """Mark one credential as removed on the author's word, with the author's reason unless another is given."""
    facts, fingerprint = owned.held.facts, _fingerprint(owned)
    if facts.removed_at is not None:
        return AttestedRow(fingerprint, owned.uid, False, f"is Removed already ({facts.removed_by})")
    if facts.masters:
        return AttestedRow(
            fingerprint,
            owned.uid,
            False,
            "is of system:masters, which passes every authorizer: only a change of the cluster's CA removes it",
        )
    requested_at = unit.at if facts.removal_requested_at is None else facts.removal_requested_at
    await set_removed(unit.tx, unit.account_id, facts.number, unit.at, RemovedBy.ATTESTED, requested_at)
    await _append(unit, cluster, owned, "attested", "removal_attested", reason)
    return AttestedRow(fingerprint, owned.uid, True, "is Removed, attested")


async def withdraw_one(
    unit: Change, cluster: Cluster, owned: OwnedCredential, *, kind: str = "withdrawn", reason: str | None = None
) -> AttestedRow:
    """Let an attestation count no more; kind: withdrawn by whom it was given, or lapsed."""
    facts, fingerprint = owned.held.facts, _fingerprint(owned)
    if facts.removed_by is not RemovedBy.ATTESTED:
        return AttestedRow(fingerprint, owned.uid, False, "has no attestation in force")
    await set_removed(unit.tx, unit.account_id, facts.number, None, None, facts.removal_requested_at)
    await _append(unit, cluster, owned, kind, f"removal_{kind}", reason)
    return AttestedRow(fingerprint, owned.uid, True, "is no longer attested as removed")


async def _append(
    unit: Change, cluster: Cluster, owned: OwnedCredential, kind: str, event: str, reason: str | None = None
) -> None:
    evidence = json.dumps({"kind": "attestation"})
    removal = Removal(kind, unit.author.actor, reason or unit.author.reason, evidence, unit.at)
    await add_removal(unit.tx, unit.account_id, owned.held.facts.number, removal)
    subject, details = f"credential/{_fingerprint(owned)}", {"text": reason} if reason else None
    unit.record(event, uid=owned.uid, cluster_seq=cluster.seq, subject=subject, details=details)
    if owned.uid:
        await update_holding(unit.tx, unit.account_id, owned.uid, cluster.seq, cluster.trust_epoch)


def _fingerprint(owned: OwnedCredential) -> str:
    return owned.held.fingerprint.hex() if owned.held.fingerprint else ""
