"""Credentials, their certificates, keys and removals, and the holdings that they add up to."""

from collections.abc import Sequence
from typing import NamedTuple

from kubecustody.core.states import Credential, Holding, holding_of
from kubecustody.store.fleet import HeldCredential, credential_of
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class NewCredential(NamedTuple):
    """A credential to be recorded. chain: DER, leaf first; uid: "" where the holder is not known.

    issued_at, signer_no, temporary_minutes and holders_key are of those that were issued here.
    """

    uid: str
    cluster_seq: int
    origin: str
    fingerprint: bytes
    common_name: str
    not_before: int
    not_after: int
    vouched_until: int | None
    trust_epoch: int
    verdict: str
    masters: bool
    chain: bytes
    serial: str
    organizations: str
    issued_at: int | None = None
    signer_no: int | None = None
    temporary_minutes: int | None = None
    holders_key: bool = False


class KnownCredential(NamedTuple):
    """A credential that is recorded already."""

    credential_no: int
    uid: str
    common_name: str
    vouched_until: int | None
    removed_at: int | None


class CredentialChain(NamedTuple):
    """A credential's certificates, for a new verdict."""

    credential_no: int
    uid: str
    removed_at: int | None
    verdict: str
    vouched_until: int | None
    chain: bytes


class OwnedCredential(NamedTuple):
    """A credential of a cluster with its holder."""

    uid: str
    held: HeldCredential


class Removal(NamedTuple):
    """One step in the removal of a credential, or in taking it back. evidence: a JSON object."""

    kind: str
    actor: str
    reason: str
    evidence: str
    occurred_at: int


_READ_AT_ONCE = 500

_FIND_BY_FINGERPRINT = statement("find_credential_by_fingerprint")
_LIST_BY_SERIAL = statement("list_credentials_by_serial")
_ADD_CREDENTIAL = statement("add_credential")
_ADD_CERTIFICATE = statement("add_certificate")
_SET_CHAIN = statement("set_chain")
_ADD_PRIVATE_KEY = statement("add_private_key")
_DESTROY_KEY = statement("destroy_private_key")
_LIST_SEALED_KEYS = statement("list_sealed_private_keys")
_SET_SEALED_KEY = statement("set_sealed_private_key")
_LIST_OF = statement("list_credentials_of")
_LIST_CHAINS = statement("list_chains_of_cluster")
_SET_VERDICT = statement("set_verdict")
_SET_HOLDER = statement("set_holder")
_SET_HOLDING = statement("set_holding")
_ADD_TO_HOLDING = statement("add_to_holding")
_DROP_HOLDING = statement("drop_holding")
_COUNT_LIVE = statement("count_live_in_cluster")
_LIST_IN_CLUSTER = statement("list_credentials_in_cluster")
_COUNT_REMOVALS = statement("count_removals_of")
_ADD_REMOVAL = statement("add_removal")
_FIND_NEWEST_REMOVAL = statement("find_newest_removal")
_SET_REMOVED = statement("set_removed")


async def add_credential(tx: Transaction, account_id: str, credential_no: int, new: NewCredential, now: int) -> None:
    """Record a credential under a number that the change took."""
    await tx.execute(
        _ADD_CREDENTIAL,
        account_id,
        credential_no,
        new.uid,
        new.cluster_seq,
        new.origin,
        new.fingerprint,
        new.common_name,
        new.not_before if new.issued_at is None else new.issued_at,
        new.not_before,
        new.not_after,
        new.vouched_until,
        new.trust_epoch,
        new.verdict,
        int(new.masters),
        now,
        new.signer_no,
        new.temporary_minutes,
        int(new.holders_key),
    )
    await tx.execute(_ADD_CERTIFICATE, account_id, credential_no, new.chain, new.serial, new.organizations)


async def find_known(tx: Transaction, account_id: str, cluster_seq: int, fingerprint: bytes) -> KnownCredential | None:
    """The credential of this certificate in this cluster."""
    row = await tx.fetch_one(_FIND_BY_FINGERPRINT, account_id, cluster_seq, fingerprint)
    return KnownCredential._make(row) if row is not None else None


async def list_numbers_by_serial(tx: Transaction, account_id: str, cluster_seq: int, serial: str) -> list[int]:
    """The numbers of the cluster's credentials whose certificate has this serial (lower-case hex)."""
    return [row[0] for row in await tx.fetch_all(_LIST_BY_SERIAL, account_id, cluster_seq, serial)]


async def set_holder(tx: Transaction, account_id: str, credential_no: int, uid: str) -> None:
    """Say whose a credential is."""
    await tx.execute(_SET_HOLDER, account_id, credential_no, uid)


async def set_chain(tx: Transaction, account_id: str, credential_no: int, chain: bytes) -> None:
    """Replace what stands above a credential's certificate. chain: DER, leaf first."""
    await tx.execute(_SET_CHAIN, account_id, credential_no, chain)


async def add_private_key(tx: Transaction, account_id: str, credential_no: int, sealed: bytes, now: int) -> bool:
    """Whether no key was kept for this credential before."""
    return await tx.execute(_ADD_PRIVATE_KEY, account_id, credential_no, sealed, now) > 0


async def destroy_private_key(tx: Transaction, account_id: str, credential_no: int, now: int) -> bool:
    """Whether a kept key was there to be destroyed."""
    return await tx.execute(_DESTROY_KEY, account_id, credential_no, now) > 0


async def list_sealed_private_keys(tx: Transaction, account_id: str) -> list[tuple[int, bytes]]:
    """Credential number and sealed key of every private key of the account."""
    return [(row[0], row[1]) for row in await tx.fetch_all(_LIST_SEALED_KEYS, account_id)]


async def set_sealed_private_key(tx: Transaction, account_id: str, credential_no: int, sealed: bytes) -> None:
    """Replace the sealed form of a private key."""
    await tx.execute(_SET_SEALED_KEY, account_id, credential_no, sealed)


async def list_chains(
    tx: Transaction, account_id: str, cluster_seq: int, after_credential_no: int, at_most: int
) -> list[CredentialChain]:
    """At most `at_most` credentials of the cluster with their certificates, by number."""
    rows = await tx.fetch_all(_LIST_CHAINS, account_id, cluster_seq, after_credential_no, at_most)
    return [CredentialChain._make(row) for row in rows]


async def set_verdicts(
    tx: Transaction, account_id: str, verdicts: Sequence[tuple[int, str, int | None, int, str, bool]]
) -> None:
    """Record (credential_no, uid, vouched_until, trust_epoch, verdict, masters) of each."""
    await tx.execute_many(
        _SET_VERDICT,
        [
            (account_id, number, uid, until, epoch, verdict, int(masters))
            for number, uid, until, epoch, verdict, masters in verdicts
        ],
    )


async def list_credentials_of(tx: Transaction, account_id: str, uid: str, cluster_seq: int) -> list[Credential]:
    """Every credential of one person in one cluster."""
    return [credential_of(row) for row in await tx.fetch_all(_LIST_OF, account_id, uid, cluster_seq)]


async def update_holding(
    tx: Transaction, account_id: str, uid: str, cluster_seq: int, trust_epoch: int
) -> Holding | None:
    """Bring the holding of one person in one cluster up to their credentials. Nobody's ("") adds up to nothing."""
    credentials = await list_credentials_of(tx, account_id, uid, cluster_seq) if uid else []
    holding = holding_of(credentials, trust_epoch)
    if holding is None:
        await tx.execute(_DROP_HOLDING, account_id, uid, cluster_seq)
    else:
        await tx.execute(_SET_HOLDING, account_id, uid, cluster_seq, *holding)
    return holding


async def add_to_holding(tx: Transaction, account_id: str, new: NewCredential, issued_at: int) -> None:
    """As `update_holding`, after this credential was recorded, judged by the cluster's trust epoch. What was there
    before is read only where it is newer or was judged otherwise: people ask for many, one after the other.
    """
    facts = Credential(0, issued_at, new.not_before, new.not_after, new.vouched_until, new.trust_epoch)
    holding = holding_of((facts,), new.trust_epoch)
    assert holding is not None
    if not await tx.execute(_ADD_TO_HOLDING, account_id, new.uid, new.cluster_seq, *holding, issued_at):
        await update_holding(tx, account_id, new.uid, new.cluster_seq, new.trust_epoch)


async def count_live_in_cluster(tx: Transaction, account_id: str, cluster_seq: int, now: int) -> int:
    """How many credentials of the cluster may still get in."""
    row = await tx.fetch_one(_COUNT_LIVE, account_id, cluster_seq, now)
    return int(row[0]) if row is not None else 0


async def list_credentials_in_cluster(
    tx: Transaction, account_id: str, cluster_seq: int, after_credential_no: int, at_most: int
) -> list[OwnedCredential]:
    """At most `at_most` credentials of the cluster, by number."""
    rows = await tx.fetch_all(_LIST_IN_CLUSTER, account_id, cluster_seq, after_credential_no, at_most)
    return [
        OwnedCredential(
            row[1],
            HeldCredential(
                cluster_seq,
                credential_of((row[0], row[13], *row[4:9], row[9], row[10], row[11], row[12])),
                row[2],
                row[3],
                row[14],
            ),
        )
        for row in rows
    ]


async def list_all_in_cluster(tx: Transaction, account_id: str, cluster_seq: int) -> list[OwnedCredential]:
    """Every credential of the cluster, by number."""
    found: list[OwnedCredential] = []
    while page := await list_credentials_in_cluster(
        tx, account_id, cluster_seq, found[-1].held.facts.number if found else 0, _READ_AT_ONCE
    ):
        found += page
    return found


async def add_removal(tx: Transaction, account_id: str, credential_no: int, removal: Removal) -> None:
    """Append one step to the removals of a credential."""
    row = await tx.fetch_one(_COUNT_REMOVALS, account_id, credential_no)
    number = 1 + (int(row[0]) if row is not None else 0)
    await tx.execute(_ADD_REMOVAL, account_id, credential_no, number, *removal)


async def find_newest_removal(tx: Transaction, account_id: str, credential_no: int) -> Removal | None:
    """The last step in the removal of a credential."""
    row = await tx.fetch_one(_FIND_NEWEST_REMOVAL, account_id, credential_no)
    return Removal._make(row) if row is not None else None


async def set_removed(
    tx: Transaction,
    account_id: str,
    credential_no: int,
    removed_at: int | None,
    removed_by: str | None,
    removal_requested_at: int | None,
) -> None:
    """Bring the narrow row up to the newest of the credential's removals."""
    await tx.execute(_SET_REMOVED, account_id, credential_no, removed_at, removed_by, removal_requested_at)
