"""Whether what is counted and added up agrees with the facts, and how it is mended.

Counts, the counted tree and the holdings are kept by every change; they are facts twice over, so they can be made anew.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from kubecustody.core.paging import nodes_of
from kubecustody.core.states import Credential, holding_of
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.installation import Custody
from kubecustody.store import books as stored
from kubecustody.store.books import Counts
from kubecustody.store.credentials import list_all_in_cluster, update_holding
from kubecustody.store.issuing import list_holders
from kubecustody.store.transactions import Transaction


@dataclass(slots=True)
class Differences:
    """What the books of an account say otherwise than the facts do."""

    texts: list[str] = field(default_factory=list)
    counts: Counts | None = None
    nodes: dict[stored.Node, int] | None = None
    holdings: list[tuple[str, int, int]] = field(default_factory=list)  # uid, cluster, trust epoch


async def check_books(custody: Custody, account_id: str) -> list[str]:
    """What the books of the account say otherwise than the facts do, a sentence each."""

    async def work(tx: Transaction) -> list[str]:
        return (await _find_differences(tx, account_id)).texts

    return await custody.store.read(work)


async def repair_books(custody: Custody, account_id: str, author: Author, now: float) -> list[str]:
    """Make the books of the account anew from the facts; what they said otherwise. It is an event where they did."""

    async def work(unit: Change) -> list[str]:
        found = await _find_differences(unit.tx, account_id)
        if found.counts is not None:
            await stored.set_cluster_counts(unit.tx, account_id, found.counts)
            unit.pass_credential_number(found.counts.last_credential_no)
        if found.nodes is not None:
            await stored.replace_nodes(unit.tx, account_id, found.nodes)
        for uid, cluster_seq, epoch in found.holdings:
            await update_holding(unit.tx, account_id, uid, cluster_seq, epoch)
        if found.texts:
            unit.record("books_repaired", details={"differences": len(found.texts)})
        return found.texts

    return await change(custody.store, account_id, author, now, work)


async def _find_differences(tx: Transaction, account_id: str) -> Differences:
    found = Differences()
    clusters = await stored.list_every_cluster(tx, account_id)
    await _compare_counts(tx, account_id, len(clusters), found)
    await _compare_nodes(tx, account_id, [seq for seq, _ in clusters], found)
    for seq, epoch in clusters:
        await _compare_holdings(tx, account_id, seq, epoch, found)
    return found


async def _compare_counts(tx: Transaction, account_id: str, clusters: int, found: Differences) -> None:
    counted = await stored.find_counts(tx, account_id)
    if counted is None:
        return
    last_cluster, last_credential = await stored.find_last_numbers(tx, account_id)
    # A number is never given twice, so one that runs ahead is no fault.
    right = Counts(
        clusters, max(counted.last_cluster_seq, last_cluster), max(counted.last_credential_no, last_credential)
    )
    if counted != right:
        found.counts = right
        found.texts += [
            f"{name.replace('_', ' ')}: the account says {before}, and it is {after}"
            for name, before, after in zip(Counts._fields, counted, right, strict=True)
            if before != after
        ]


async def _compare_nodes(tx: Transaction, account_id: str, seqs: Sequence[int], found: Differences) -> None:
    right = Counter(node for seq in seqs for node in nodes_of(seq))
    nodes = await stored.list_every_node(tx, account_id)
    if nodes != right:
        wrong = sum(nodes.get(node) != right.get(node) for node in {*nodes, *right})
        found.nodes = dict(right)
        found.texts.append(f"the counted tree of clusters: {wrong} nodes are wrong, so pages of the list may be")


async def _compare_holdings(tx: Transaction, account_id: str, seq: int, epoch: int, found: Differences) -> None:
    held: dict[str, list[Credential]] = {}
    for owned in await list_all_in_cluster(tx, account_id, seq):
        if owned.uid:
            held.setdefault(owned.uid, []).append(owned.held.facts)
    right = {uid: holding_of(credentials, epoch) for uid, credentials in held.items()}
    kept = {row.uid: row.holding for row in await list_holders(tx, account_id, seq)}
    for uid in sorted({*right, *kept}):
        if kept.get(uid) != right.get(uid):
            found.holdings.append((uid, seq, epoch))
            found.texts.append(f"what {uid} holds in cluster number {seq} is not what the credentials add up to")
