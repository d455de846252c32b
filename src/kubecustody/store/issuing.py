"""Signers, what was issued by them, validities that the account set, and what is asked to be removed."""

from typing import NamedTuple

from kubecustody.core.issuing import Held
from kubecustody.core.states import Holding
from kubecustody.store.credentials import NewCredential, add_credential, add_private_key
from kubecustody.store.fleet import Cluster
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class StoredSigner(NamedTuple):
    """What issues in a cluster. certificate: PEM; both are None for other kinds than ca."""

    signer_no: int
    kind: str
    certificate: str | None
    sealed_key: bytes | None
    to_at: int | None


class IssuedCredential(NamedTuple):
    """A current credential of our making, with what decides whether it may be handed out again."""

    facts: Held
    vouched_until: int | None
    trust_epoch: int
    fingerprint: bytes


class IssuingPlace(NamedTuple):
    """A cluster with what issues for it. signer is None where it never had one; client_ca is "" where none is known;
    clock_skew_seconds: by how much its clock is ahead, as far as is known.
    """

    cluster: Cluster
    server_ca: str | None
    public_endpoint: str | None
    private_endpoint: str | None
    tls_server_name: str | None
    proxy_url: str | None
    signer: StoredSigner | None
    client_ca: str
    mode: str
    clock_skew_seconds: int | None


class LiveCredential(NamedTuple):
    """A credential that may still get in."""

    credential_no: int
    fingerprint: bytes | None
    removal_requested_at: int | None
    masters: bool


class SealedKey(NamedTuple):
    """A kept private key, and the certificate that it belongs to (DER, leaf first)."""

    sealed: bytes
    chain: bytes


class HolderRow(NamedTuple):
    """What one person holds in a cluster, and who they are. name and display_name are None where erased."""

    uid: str
    holding: Holding
    kind: str
    disabled_at: int | None
    deleted_at: int | None
    name: str | None
    display_name: str | None


# What an issuing place is read from.
PLACE_TABLES = frozenset({"clusters", "cluster_details", "signers", "trust_bundles"})

_ADD_SIGNER = statement("add_signer")
_END_SIGNERS = statement("end_signers")
_FIND_SIGNER = statement("find_newest_signer")
_LIST_SEALED_SIGNERS = statement("list_sealed_signer_keys")
_SET_SEALED_SIGNER = statement("set_sealed_signer_key")
_FIND_PLACE = statement("find_issuing_place")
_LIST_CURRENT = statement("list_current_issued")
_LIST_LIVE = statement("list_live_of")
_FIND_KEY = statement("find_private_key")
_SET_COMPROMISED = statement("set_compromised")
_SET_REQUESTED = statement("set_removal_requested")
_SET_VALIDITY = statement("set_custom_validity")
_FIND_VALIDITY = statement("find_custom_validity")
_DROP_VALIDITY = statement("drop_custom_validity")
_LIST_HOLDERS = statement("list_holdings_of_cluster")


async def set_signer(
    tx: Transaction,
    account_id: str,
    cluster_seq: int,
    kind: str,
    certificate: str | None,
    sealed_key: bytes | None,
    now: int,
) -> int:
    """Put another signer in force for a cluster; its number. The ones before stay on record."""
    before = await find_signer(tx, account_id, cluster_seq)
    number = 1 if before is None else before.signer_no + 1
    await tx.execute(_END_SIGNERS, account_id, cluster_seq, now)
    await tx.execute(_ADD_SIGNER, account_id, cluster_seq, number, kind, certificate, sealed_key, now)
    return number


async def find_signer(tx: Transaction, account_id: str, cluster_seq: int) -> StoredSigner | None:
    """The newest signer of a cluster."""
    row = await tx.fetch_one(_FIND_SIGNER, account_id, cluster_seq)
    return StoredSigner._make(row) if row is not None else None


async def find_issuing_place(tx: Transaction, account_id: str, cluster_id: str) -> IssuingPlace | None:
    """The cluster of this id with what issues for it."""
    row = await tx.fetch_one(_FIND_PLACE, account_id, cluster_id)
    if row is None:
        return None
    signer = None if row[12] is None else StoredSigner._make(row[12:17])
    return IssuingPlace._make((Cluster._make(row[:7]), *row[7:12], signer, row[17] or "", *row[18:]))


async def list_sealed_signers(tx: Transaction, account_id: str) -> list[tuple[int, int, bytes]]:
    """Cluster, number and sealed key of every signer of the account that has a key."""
    return [(row[0], row[1], row[2]) for row in await tx.fetch_all(_LIST_SEALED_SIGNERS, account_id)]


async def set_sealed_signer(tx: Transaction, account_id: str, cluster_seq: int, number: int, sealed: bytes) -> None:
    """Replace the sealed form of a signer's key."""
    await tx.execute(_SET_SEALED_SIGNER, account_id, cluster_seq, number, sealed)


async def list_current_issued(
    tx: Transaction, account_id: str, uid: str, cluster_seq: int, now: int
) -> list[IssuedCredential]:
    """The person's current credentials of our making in this cluster."""
    rows = await tx.fetch_all(_LIST_CURRENT, account_id, uid, cluster_seq, now)
    return [IssuedCredential(Held._make((*row[:4], bool(row[4]), bool(row[8]))), *row[5:8]) for row in rows]


async def list_live(tx: Transaction, account_id: str, uid: str, cluster_seq: int, now: int) -> list[LiveCredential]:
    """The person's credentials in this cluster that may still get in."""
    rows = await tx.fetch_all(_LIST_LIVE, account_id, uid, cluster_seq, now)
    return [LiveCredential(row[0], row[1], row[2], bool(row[3])) for row in rows]


async def add_issued(
    tx: Transaction,
    account_id: str,
    credential_no: int,
    new: NewCredential,
    sealed_key: bytes | None,
    now: int,
) -> None:
    """Record a credential of our making, with its sealed key where that is kept."""
    await add_credential(tx, account_id, credential_no, new, now)
    if sealed_key is not None:
        await add_private_key(tx, account_id, credential_no, sealed_key, now)


async def find_private_key(tx: Transaction, account_id: str, credential_no: int) -> SealedKey | None:
    """The kept key of a credential."""
    row = await tx.fetch_one(_FIND_KEY, account_id, credential_no)
    return SealedKey._make(row) if row is not None else None


async def set_removal_requested(tx: Transaction, account_id: str, credential_no: int, now: int) -> bool:
    """Whether nobody had asked for this credential's removal before."""
    return await tx.execute(_SET_REQUESTED, account_id, credential_no, now) > 0


async def set_compromised(tx: Transaction, account_id: str, credential_no: int, now: int) -> bool:
    """Whether nobody had said before that somebody else may have this credential's key."""
    return await tx.execute(_SET_COMPROMISED, account_id, credential_no, now) > 0


async def set_custom_validity(
    tx: Transaction, account_id: str, uid: str, cluster_seq: int, hours: int, after_credential_no: int
) -> None:
    """Say how long the person's kubeconfigs of the cluster live that are issued after that credential."""
    await tx.execute(_SET_VALIDITY, account_id, uid, cluster_seq, hours, after_credential_no)


async def find_custom_validity(tx: Transaction, account_id: str, uid: str, cluster_seq: int) -> tuple[int, int] | None:
    """Hours, and the number of the last credential from before they were set."""
    row = await tx.fetch_one(_FIND_VALIDITY, account_id, uid, cluster_seq)
    return (row[0], row[1]) if row is not None else None


async def drop_custom_validity(tx: Transaction, account_id: str, uid: str, cluster_seq: int) -> None:
    """The person's kubeconfigs of the cluster have the ordinary validity again."""
    await tx.execute(_DROP_VALIDITY, account_id, uid, cluster_seq)


async def list_holders(tx: Transaction, account_id: str, cluster_seq: int) -> list[HolderRow]:
    """Everybody who holds, or held, a credential of the cluster, by uid."""
    rows = await tx.fetch_all(_LIST_HOLDERS, account_id, cluster_seq)
    return [HolderRow(row[0], Holding._make(row[1:7]), *row[7:]) for row in rows]
