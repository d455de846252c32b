"""What a cluster should permit, what is to be powerless in it, and the evidence that it is."""

from typing import NamedTuple

from kubecustody.core.bindings import Grant
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class WantedRemoval(NamedTuple):
    """A credential that is to be powerless. chain: DER, leaf first; organizations: a JSON array; sealed_key: None where
    no key is kept.
    """

    credential_no: int
    uid: str
    cn: str
    fingerprint: bytes | None
    verdict: str
    masters: int
    removal_requested_at: int
    removed_at: int | None
    removed_by: str | None
    chain: bytes
    organizations: str
    sealed_key: bytes | None


class StoredEvidence(NamedTuple):
    """The newest of one kind on one API server; "" for the cluster's own address. told: in our words."""

    kind: str
    api_server: str
    outcome: str
    told: str
    observed_at: int


class AllowedRead(NamedTuple):
    """A credential's user name, and the request that a binding allowed it; None where none is known."""

    cn: str
    credential_no: int
    told: str | None


class KnownTrust(NamedTuple):
    """Which client CAs a cluster is known to trust (PEM)."""

    seq: int
    cluster_id: str
    mode: str
    client_ca: str


_LIST_READS = statement("list_allowed_reads")
_LIST_CLIENT_CAS = statement("list_client_cas")
_LIST_GRANTS = statement("list_grants_in_cluster")
_LIST_DROPPED = statement("list_dropped_grants_in_cluster")
_LIST_NAMES = statement("list_current_names")
_LIST_WANTED = statement("list_wanted_removals")
_FIND_PROVABLE = statement("find_provable")
_SET_EVIDENCE = statement("set_evidence")
_LIST_EVIDENCE = statement("list_evidence")
_FIND_BY_NAME = statement("find_credential_by_name")


async def list_grants(tx: Transaction, account_id: str, cluster_seq: int) -> list[Grant]:
    """What people are permitted in a cluster."""
    rows = await tx.fetch_all(_LIST_GRANTS, account_id, cluster_seq)
    return [Grant(uid, role, namespace, bool(is_custom)) for uid, role, namespace, is_custom in rows]


async def list_dropped_grants(tx: Transaction, account_id: str, cluster_seq: int) -> list[Grant]:
    """What people were permitted in a cluster, and what was taken away from them."""
    rows = await tx.fetch_all(_LIST_DROPPED, account_id, cluster_seq)
    return [Grant(uid, role, namespace, bool(is_custom)) for uid, role, namespace, is_custom in rows]


async def list_current_names(tx: Transaction, account_id: str, cluster_seq: int, now: int) -> dict[str, list[str]]:
    """The user names (CNs) of each person's current credentials in a cluster."""
    names: dict[str, list[str]] = {}
    for uid, name in await tx.fetch_all(_LIST_NAMES, account_id, cluster_seq, now):
        names.setdefault(uid, []).append(name)
    return names


async def list_wanted_removals(tx: Transaction, account_id: str, cluster_seq: int, now: int) -> list[WantedRemoval]:
    """The credentials of a cluster that are to be powerless and would still live, by number."""
    return [WantedRemoval._make(row) for row in await tx.fetch_all(_LIST_WANTED, account_id, cluster_seq, now)]


async def find_provable(tx: Transaction, account_id: str, credential_no: int) -> WantedRemoval | None:
    """One credential with what it takes to use it, whether it is to be powerless or not."""
    row = await tx.fetch_one(_FIND_PROVABLE, account_id, credential_no)
    return None if row is None else WantedRemoval._make(row)


async def set_evidence(tx: Transaction, account_id: str, credential_no: int, evidence: StoredEvidence) -> None:
    """Record the newest evidence of its kind."""
    await tx.execute(_SET_EVIDENCE, account_id, credential_no, *evidence)


async def list_evidence(tx: Transaction, account_id: str, credential_no: int) -> list[StoredEvidence]:
    """The newest evidence of every kind about a credential."""
    return [StoredEvidence._make(row) for row in await tx.fetch_all(_LIST_EVIDENCE, account_id, credential_no)]


async def find_number_by_name(tx: Transaction, account_id: str, cluster_seq: int, cn: str) -> int | None:
    """The number of the credential of our making that has this user name in the cluster."""
    row = await tx.fetch_one(_FIND_BY_NAME, account_id, cluster_seq, cn)
    return None if row is None else row[0]


async def list_allowed_reads(tx: Transaction, account_id: str, cluster_seq: int, now: int) -> list[AllowedRead]:
    """The credentials of a cluster that may live, each with what a binding allowed it."""
    return [AllowedRead._make(row) for row in await tx.fetch_all(_LIST_READS, account_id, cluster_seq, now)]


async def list_client_cas(tx: Transaction, account_id: str) -> list[KnownTrust]:
    """What each cluster of the account is known to trust, by seq."""
    return [KnownTrust._make(row) for row in await tx.fetch_all(_LIST_CLIENT_CAS, account_id)]
