"""One page of the fleet, and what one person holds in its clusters: flat at any depth.

The counted tree leads to the first cluster of the page (three levels of at most 64 nodes each), then range scans
of primary keys read the rest, all in one snapshot. Measured against OFFSET in docs/decisions/0002-data-model.md.
"""

from typing import Any, NamedTuple, cast

from kubecustody.core.paging import FANOUT_BITS, LEVELS, step_into
from kubecustody.core.states import Credential, Holding, RemovedBy
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Row, Transaction

_LIST_NODES = statement("list_nodes")
_LIST_CLUSTERS_FROM = statement("list_clusters_from")
_LIST_HOLDINGS_BETWEEN = statement("list_holdings_between")
_LIST_OBSERVATIONS_BETWEEN = statement("list_observations_between")
_LIST_UNENDED = statement("list_unended_in")
_LIST_OPEN_ENDED = statement("list_open_ended_in")
_COUNT_LIVE = statement("count_live_of")
_FIND_NEWEST_CREDENTIAL = statement("find_newest_credential")

_ALL_INDEXES = 2**62


# seq, cluster_id, name, state, trust_epoch: a plain tuple, since the list reads many.
ClusterRow = tuple[int, str, str, str, int]


class ListedCluster(NamedTuple):
    """One cluster as the list shows it."""

    seq: int
    cluster_id: str
    name: str
    state: str
    trust_epoch: int


class Cluster(NamedTuple):
    """The narrow facts of one cluster. told_state is the operator's word, seen_state what a probe saw."""

    seq: int
    cluster_id: str
    name: str
    told_state: str
    seen_state: str | None
    trust_epoch: int
    deleted_at: int | None


class Observation(NamedTuple):
    """When a probe last tried one cluster, whether it answered, and by how much its clock was ahead."""

    reachable: bool
    observed_at: int
    clock_skew_seconds: int | None


class HeldCredential(NamedTuple):
    """A credential with what is shown of it."""

    cluster_seq: int
    facts: Credential
    fingerprint: bytes | None
    common_name: str
    origin: str


class NewestCredential(NamedTuple):
    """What explains the state of a person none of whose credentials lives."""

    credential_no: int
    removed_by: str | None
    removed_at: int | None
    removal_requested_at: int | None
    verdict: str


async def list_clusters(tx: Transaction, account_id: str, last_seq: int, offset: int, at_most: int) -> list[ClusterRow]:
    """At most `at_most` clusters of the account from the offset-th on, by seq.

    last_seq: the greatest that the account ever gave; offset: within the count of its clusters.
    """
    first_seq, skipped = await _start(tx, account_id, last_seq, offset)
    rows = await tx.fetch_all(_LIST_CLUSTERS_FROM, account_id, first_seq, at_most, skipped)
    return cast("list[ClusterRow]", rows)


async def _start(tx: Transaction, account_id: str, last_seq: int, offset: int) -> tuple[int, int]:
    """A seq, and how many clusters lie between it and the offset-th one (fewer than 64).

    A level with one node only says nothing and is passed over.
    """
    if offset == 0:
        return 0, 0
    first, last = 0, _ALL_INDEXES
    for level in LEVELS:
        if last_seq >> FANOUT_BITS * level == 0:
            continue
        index, offset = step_into(await list_nodes(tx, account_id, level, first, last), offset)
        first = index << FANOUT_BITS
        last = first + (1 << FANOUT_BITS) - 1
    return first, offset


async def list_nodes(tx: Transaction, account_id: str, level: int, first: int, last: int) -> list[tuple[int, int]]:
    """Index and count of the nodes of a level between, both included, by index."""
    return cast("list[tuple[int, int]]", await tx.fetch_all(_LIST_NODES, account_id, level, first, last))


async def list_holdings(
    tx: Transaction, account_id: str, uid: str, first_seq: int, last_seq: int
) -> dict[int, Holding]:
    """What the person holds in the clusters between, both included, by the cluster's seq."""
    rows = await tx.fetch_all(_LIST_HOLDINGS_BETWEEN, account_id, uid, first_seq, last_seq)
    # Plain tuples in the order of Holding: the list reads many.
    return {row[0]: cast("Holding", row[1:]) for row in rows}


async def list_observations(tx: Transaction, account_id: str, first_seq: int, last_seq: int) -> dict[int, Observation]:
    """When probes tried the clusters between, by the cluster's seq."""
    rows = await tx.fetch_all(_LIST_OBSERVATIONS_BETWEEN, account_id, first_seq, last_seq)
    return {row[0]: Observation(bool(row[1]), *row[2:]) for row in rows}


async def list_unended(
    tx: Transaction, account_id: str, uid: str, cluster_seq: int, now: int, at_most: int
) -> list[HeldCredential]:
    """The person's credentials in a cluster whose end is not past or not known, but for those proved powerless.

    At most `at_most` with an end, those first that are vouched for and end last, and as many without one.
    """
    rows = await tx.fetch_all(_LIST_UNENDED, account_id, uid, cluster_seq, now, at_most)
    rows += await tx.fetch_all(_LIST_OPEN_ENDED, account_id, uid, cluster_seq, at_most)
    return [HeldCredential(row[0], credential_of(row[1:12]), *row[12:]) for row in rows]


async def count_live(tx: Transaction, account_id: str, uid: str, cluster_seq: int, now: int) -> int:
    """How many of the person's credentials in a cluster are not removed and have an end that is not past."""
    row = await tx.fetch_one(_COUNT_LIVE, account_id, uid, cluster_seq, now)
    return int(row[0]) if row is not None else 0


async def find_newest_credential(
    tx: Transaction, account_id: str, uid: str, cluster_seq: int
) -> NewestCredential | None:
    """The person's newest credential in this cluster."""
    row = await tx.fetch_one(_FIND_NEWEST_CREDENTIAL, account_id, uid, cluster_seq)
    return NewestCredential._make(row) if row is not None else None


def credential_of(row: Row) -> Credential:
    """The facts from (credential_no, issued_at, not_before, not_after, vouched_until, trust_epoch, verdict,
    masters, removed_at, removed_by, removal_requested_at).
    """
    values: list[Any] = list(row)
    values[7] = bool(values[7])
    values[9] = RemovedBy(values[9]) if values[9] is not None else None
    return Credential._make(values)
