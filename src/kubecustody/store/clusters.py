"""Clusters: registration and the counted tree, their details, and the client CA bundles that they trust."""

import re
from collections.abc import Collection
from typing import NamedTuple

from kubecustody.core.paging import nodes_of
from kubecustody.store.fleet import Cluster, ClusterRow, Observation
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class ClusterDetails(NamedTuple):
    """Where a cluster is and how it is reached; every address is None where it is not known."""

    region_id: str
    created_at: int
    server_ca: str | None = None
    manage_endpoint: str | None = None
    public_endpoint: str | None = None
    private_endpoint: str | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None
    kube_system_uid: str | None = None
    attest_on_clean: int = 0


class TrustBundle(NamedTuple):
    """A client CA bundle (PEM) that the cluster trusts from then on."""

    client_ca: str
    recorded_at: int


_TAKE_SEQ = statement("take_cluster_seq")
_FORGET_COUNT = statement("forget_cluster_count")
_ADJUST_NODE = statement("adjust_node")


class Twin(NamedTuple):
    """A cluster that may let in the same client certificates as another."""

    cluster_id: str
    name: str
    mode: str


_ADD_CLUSTER = statement("add_cluster")
_ADD_DETAILS = statement("add_cluster_details")
_SET_DETAILS = statement("set_cluster_details")
_SET_ATTEST_ON_CLEAN = statement("set_attest_on_clean")
_FIND_DETAILS = statement("find_cluster_details")
_FIND_BY_ID = statement("find_cluster_by_id")
_FIND_BY_SEQ = statement("find_cluster_by_seq")
_LIST_BY_NAME = statement("list_clusters_by_name")
_FIND_PURGED = statement("find_purged_cluster")
_SET_NAME = statement("set_cluster_name")
_SET_TOLD_STATE = statement("set_cluster_told_state")
_SET_DELETED = statement("set_cluster_deleted")
_DROP_CLUSTER = statement("drop_cluster")
_ADD_PURGED = statement("add_purged_cluster")
_ADD_BUNDLE = statement("add_trust_bundle")
_SET_EPOCH = statement("set_cluster_trust_epoch")
_FIND_BUNDLE = statement("find_trust_bundle")
_ADD_CA_KEY = statement("add_client_ca_key")
_DROP_CA_KEYS = statement("drop_client_ca_keys")
_LIST_OF_SAME_CA = statement("list_clusters_of_same_client_ca")
_FIND_OBSERVATION = statement("find_observation")
_LIST_DETAILS = statement("list_cluster_details_between")
_LIST_LIKE = statement("list_clusters_like")
_COUNT_LIKE = statement("count_clusters_like")
_FIND_NEXT_REGION = statement("find_next_region")


async def add_cluster(
    tx: Transaction, account_id: str, seq: int, cluster_id: str, name: str, told_state: str, details: ClusterDetails
) -> None:
    """Register a cluster under the seq behind the account's last. AlreadyThere where the id is in use."""
    await tx.execute(_ADD_CLUSTER, account_id, seq, cluster_id, name, told_state)
    await tx.execute(
        _ADD_DETAILS,
        account_id,
        seq,
        details.region_id,
        details.created_at,
        details.server_ca,
        details.manage_endpoint,
        details.public_endpoint,
        details.private_endpoint,
        details.tls_server_name,
        details.proxy_url,
    )
    await tx.execute(_TAKE_SEQ, account_id)
    await _adjust_nodes(tx, account_id, seq, 1)


async def purge_cluster(tx: Transaction, account_id: str, cluster: Cluster, now: int) -> None:
    """Take a cluster out of the list; that it was, and its id, stay known."""
    await tx.execute(_FORGET_COUNT, account_id)
    await _adjust_nodes(tx, account_id, cluster.seq, -1)
    await tx.execute(_DROP_CLUSTER, account_id, cluster.seq)
    await tx.execute(_ADD_PURGED, account_id, cluster.cluster_id, cluster.seq, now)


async def _adjust_nodes(tx: Transaction, account_id: str, seq: int, change: int) -> None:
    await tx.execute_many(_ADJUST_NODE, [(account_id, level, index, change) for level, index in nodes_of(seq)])


async def find_cluster(tx: Transaction, account_id: str, cluster_id: str) -> Cluster | None:
    """The cluster of this id."""
    row = await tx.fetch_one(_FIND_BY_ID, account_id, cluster_id)
    return Cluster._make(row) if row is not None else None


async def find_cluster_by_seq(tx: Transaction, account_id: str, seq: int) -> Cluster | None:
    """The cluster of this number."""
    row = await tx.fetch_one(_FIND_BY_SEQ, account_id, seq)
    return Cluster._make(row) if row is not None else None


async def list_clusters_by_name(tx: Transaction, account_id: str, name: str, at_most: int) -> list[Cluster]:
    """At most `at_most` clusters of this name; names need not be unique."""
    rows = await tx.fetch_all(_LIST_BY_NAME, account_id, name, at_most)
    return [Cluster._make(row) for row in rows]


async def find_purged_seq(tx: Transaction, account_id: str, cluster_id: str) -> int | None:
    """The number of the purged cluster of this id, which is never used again."""
    row = await tx.fetch_one(_FIND_PURGED, account_id, cluster_id)
    return int(row[0]) if row is not None else None


async def find_cluster_details(tx: Transaction, account_id: str, seq: int) -> ClusterDetails | None:
    """The details of a cluster."""
    row = await tx.fetch_one(_FIND_DETAILS, account_id, seq)
    return ClusterDetails._make(row) if row is not None else None


async def set_cluster_details(tx: Transaction, account_id: str, seq: int, details: ClusterDetails) -> None:
    """Replace the details of a cluster, but for its creation time."""
    await tx.execute(
        _SET_DETAILS,
        account_id,
        seq,
        details.region_id,
        details.server_ca,
        details.manage_endpoint,
        details.public_endpoint,
        details.private_endpoint,
        details.tls_server_name,
        details.proxy_url,
    )


async def set_attest_on_clean(tx: Transaction, account_id: str, seq: int, *, on: bool) -> None:
    """Say whether a clean in this cluster is marked as attested."""
    await tx.execute(_SET_ATTEST_ON_CLEAN, account_id, seq, int(on))


async def set_cluster_name(tx: Transaction, account_id: str, seq: int, name: str) -> None:
    """Rename a cluster."""
    await tx.execute(_SET_NAME, account_id, seq, name)


async def set_cluster_told_state(tx: Transaction, account_id: str, seq: int, told_state: str) -> None:
    """Record what the operator says of a cluster's state."""
    await tx.execute(_SET_TOLD_STATE, account_id, seq, told_state)


async def set_cluster_deleted(tx: Transaction, account_id: str, seq: int, now: int) -> None:
    """Mark a cluster as deleted; it stays listed until it is purged."""
    await tx.execute(_SET_DELETED, account_id, seq, now)


async def add_trust_bundle(
    tx: Transaction, account_id: str, seq: int, epoch: int, client_ca: str, keys: Collection[bytes], now: int
) -> None:
    """Put a client CA bundle in force for a cluster, under the epoch behind its last.

    keys: SHA-256 of the SubjectPublicKeyInfo of each of its members.
    """
    await tx.execute(_ADD_BUNDLE, account_id, seq, epoch, client_ca, now)
    await tx.execute(_SET_EPOCH, account_id, seq, epoch)
    await tx.execute(_DROP_CA_KEYS, account_id, seq)
    await tx.execute_many(_ADD_CA_KEY, [(account_id, seq, key) for key in sorted(set(keys))])


async def forget_trust(tx: Transaction, account_id: str, cluster: Cluster) -> None:
    """Put an epoch in force of which no bundle is known: nothing in the cluster is vouched for any more."""
    await tx.execute(_SET_EPOCH, account_id, cluster.seq, cluster.trust_epoch + 1)
    await tx.execute(_DROP_CA_KEYS, account_id, cluster.seq)


async def list_of_same_client_ca(tx: Transaction, account_id: str, seq: int, at_most: int) -> list[Twin]:
    """The account's other clusters that trust the key of a client CA which this one trusts, by seq; none is deleted."""
    return [Twin._make(row) for row in await tx.fetch_all(_LIST_OF_SAME_CA, account_id, seq, at_most)]


async def find_trust_bundle(tx: Transaction, account_id: str, seq: int, epoch: int) -> TrustBundle | None:
    """The client CA bundle of this epoch."""
    row = await tx.fetch_one(_FIND_BUNDLE, account_id, seq, epoch)
    return TrustBundle._make(row) if row is not None else None


async def find_observation(tx: Transaction, account_id: str, seq: int) -> Observation | None:
    """What a probe saw last of a cluster."""
    row = await tx.fetch_one(_FIND_OBSERVATION, account_id, seq)
    return Observation(bool(row[0]), *row[1:]) if row is not None else None


_TO_LOWER = {letter: letter + 32 for letter in range(ord("A"), ord("Z") + 1)}


class ClusterFacts(NamedTuple):
    """What the lists of clusters say of one. state: as it was seen, else as it was told."""

    seq: int
    cluster_id: str
    name: str
    state: str
    region_id: str
    created_at: int
    public_endpoint: str | None
    private_endpoint: str | None
    kubernetes_version: str | None
    mode: str
    own_access_expires_at: int | None
    own_access_fault: str | None
    clock_skew_seconds: int | None


async def list_cluster_facts(tx: Transaction, account_id: str, rows: list[ClusterRow]) -> list[ClusterFacts]:
    """The facts of clusters that were listed, in their order."""
    if not rows:
        return []
    details = await tx.fetch_all(_LIST_DETAILS, account_id, rows[0][0], rows[-1][0])
    by_seq = {seq: rest for seq, *rest in details}
    return [ClusterFacts(*row[:4], *by_seq[row[0]]) for row in rows]


async def find_cluster_facts(tx: Transaction, account_id: str, cluster_id: str) -> ClusterFacts | None:
    """The facts of the cluster of this id."""
    found = await find_cluster(tx, account_id, cluster_id)
    if found is None:
        return None
    row = (found.seq, found.cluster_id, found.name, found.seen_state or found.told_state, found.trust_epoch)
    return (await list_cluster_facts(tx, account_id, [row]))[0]


def lower_ascii(text: str) -> str:
    """The text with A to Z made small, and nothing else: as SQLite's lower() does it."""
    return text.translate(_TO_LOWER)


async def list_clusters_like(
    tx: Transaction, account_id: str, name: str, region_id: str, at_most: int, skipped: int
) -> tuple[list[ClusterFacts], int]:
    """At most `at_most` clusters whose name holds this text, by seq, and how many there are in all.

    name: "" for every one, ASCII without regard to case; region_id: "" for every region. Reads all of the account's
    clusters, some 0.1 us each.
    """
    escaped = re.sub(r"([\\%_])", r"\\\1", lower_ascii(name))
    pattern = f"%{escaped}%"
    rows = await tx.fetch_all(_LIST_LIKE, account_id, pattern, region_id, at_most, skipped)
    count = await tx.fetch_one(_COUNT_LIKE, account_id, pattern, region_id)
    return [ClusterFacts._make(row) for row in rows], 0 if count is None else count[0]


async def list_regions(tx: Transaction, account_id: str) -> list[str]:
    """Every region that a cluster of the account has, sorted; one search for each."""
    regions: list[str] = []
    while True:
        row = await tx.fetch_one(_FIND_NEXT_REGION, account_id, regions[-1] if regions else "")
        if row is None or row[0] is None:
            return regions
        regions.append(row[0])
