"""Clusters by their fields: registering, changing, deleting, purging, and the client CA that each trusts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kubecustody.cluster.access import check_endpoint
from kubecustody.core.errors import OperatorError
from kubecustody.core.names import check_cluster_id, check_cluster_name
from kubecustody.core.paging import PageRequest
from kubecustody.core.states import ClusterState
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.installation import Custody
from kubecustody.custody.verdicts import NO_JUDGEMENTS, Judgements, judge_ahead, judge_cluster_anew
from kubecustody.pki.certificates import Certificate, format_certificates, load_certificates
from kubecustody.pki.trust import load_bundle
from kubecustody.store import clusters as stored
from kubecustody.store import credentials
from kubecustody.store.clusters import ClusterDetails
from kubecustody.store.errors import AlreadyThere
from kubecustody.store.fleet import Cluster, ListedCluster, list_clusters
from kubecustody.store.installation import find_account
from kubecustody.store.transactions import Transaction

_LISTED_AT_ONCE = 500
_NAMESAKES = 100
_LAST_SEQ = 2**62


@dataclass(frozen=True, slots=True)
class ClusterFields:
    """What an operator says of a cluster. None: leave it as it is (for a new one: not known)."""

    name: str | None = None
    told_state: str | None = None
    region_id: str | None = None
    client_ca: bytes | None = None
    server_ca: bytes | None = None
    manage_endpoint: str | None = None
    public_endpoint: str | None = None
    private_endpoint: str | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None
    attest_on_clean: bool | None = None

    def __post_init__(self) -> None:
        if self.name is not None:
            check_cluster_name(self.name)
        if self.told_state is not None and self.told_state not in set(ClusterState) - {ClusterState.DELETED}:
            states = ", ".join(state for state in ClusterState if state is not ClusterState.DELETED)
            raise OperatorError(
                f"{self.told_state!r} is no state that can be told; it is one of {states}. "
                "A cluster becomes deleted by `kubecustody admin clusters delete`."
            )
        for name in ("manage_endpoint", "public_endpoint", "private_endpoint"):
            endpoint = getattr(self, name)
            if endpoint:
                try:
                    check_endpoint(endpoint)
                except OperatorError as fault:
                    raise OperatorError(f"{name}: {fault}") from fault


class TrustChange(NamedTuple):
    """What a new client CA bundle changed: its epoch, and how many verdicts were made anew."""

    epoch: int
    judged: int


async def add_cluster(
    custody: Custody,
    account_id: str,
    author: Author,
    now: float,
    fields: ClusterFields,
    cluster_id: str | None = None,
) -> str:
    """A new cluster; its id (c and 32 hex digits, unless one is given)."""

    async def work(unit: Change) -> str:
        return (await record_cluster(custody, unit, fields, cluster_id))[1]

    return await change(custody.store, account_id, author, now, work)


async def record_cluster(
    custody: Custody,
    unit: Change,
    fields: ClusterFields,
    cluster_id: str | None = None,
    *,
    name_is_free: bool = False,
) -> tuple[int, str]:
    """Seq and id of a new cluster, as a part of a change. Raises OperatorError where id or name are in use.

    name_is_free: the caller saw to it, among several clusters that are changed together.
    """
    new_id = check_cluster_id(cluster_id or "c" + custody.random_bytes(16).hex())
    if fields.name is None:
        raise OperatorError("A cluster needs a name.")
    if not name_is_free:
        await check_name_is_free(unit.tx, unit.account_id, fields.name)
    account = await find_account(unit.tx, unit.account_id)
    if await stored.find_purged_seq(unit.tx, unit.account_id, new_id) is not None:
        raise OperatorError(f"There was a cluster {new_id}, now purged; ids are never used again.")
    seq = unit.take_cluster_number()
    region_id = account.region_id if account else ""
    details = _details(ClusterDetails(region_id, unit.at), fields)
    told_state = fields.told_state or ClusterState.RUNNING
    try:
        await stored.add_cluster(unit.tx, unit.account_id, seq, new_id, fields.name, told_state, details)
    except AlreadyThere as error:
        raise OperatorError(f"There is a cluster {new_id} already. Give another id, or none.") from error
    unit.record(
        "cluster_added",
        cluster_seq=seq,
        subject=f"cluster/{new_id}",
        details={"name": fields.name, "told_state": told_state},
    )
    if fields.client_ca is not None:
        cluster = await stored.find_cluster_by_seq(unit.tx, unit.account_id, seq)
        if cluster is not None:
            await trust_bundle(unit, cluster, fields.client_ca)
    return seq, new_id


async def check_name_is_free(tx: Transaction, account_id: str, name: str) -> None:
    """Raise OperatorError where a cluster that is not deleted has this name."""
    for other in await stored.list_clusters_by_name(tx, account_id, name, _NAMESAKES):
        if other.deleted_at is None:
            raise OperatorError(f"There is a cluster called {name} already ({other.cluster_id}). Give another name.")


def _details(before: ClusterDetails, fields: ClusterFields) -> ClusterDetails:
    """The details with what the fields say; an empty text clears one."""

    def told(value: str | None, old: str | None) -> str | None:
        return old if value is None else value or None

    return before._replace(
        region_id=fields.region_id or before.region_id,
        server_ca=told(
            None if fields.server_ca is None else format_certificates(load_certificates(fields.server_ca)),
            before.server_ca,
        ),
        manage_endpoint=told(fields.manage_endpoint, before.manage_endpoint),
        public_endpoint=told(fields.public_endpoint, before.public_endpoint),
        private_endpoint=told(fields.private_endpoint, before.private_endpoint),
        tls_server_name=told(fields.tls_server_name, before.tls_server_name),
        proxy_url=told(fields.proxy_url, before.proxy_url),
    )


async def set_cluster(
    custody: Custody, account_id: str, author: Author, now: float, which: str, fields: ClusterFields
) -> TrustChange | None:
    """Change a cluster's fields; what a new client CA bundle changed, None where there was none or the same."""
    ahead = NO_JUDGEMENTS
    if fields.client_ca is not None:
        found = await custody.store.read(lambda tx: get_cluster(tx, account_id, which))
        ahead = await prepare_trust(custody, account_id, found, fields.client_ca)

    async def work(unit: Change) -> TrustChange | None:
        cluster = await get_cluster(unit.tx, account_id, which)
        if cluster.deleted_at is not None:
            raise OperatorError(f"{which} is deleted; its fields are changed no more.")
        await set_fields(unit, cluster, fields)
        return None if fields.client_ca is None else await trust_bundle(unit, cluster, fields.client_ca, ahead)

    return await change(custody.store, account_id, author, now, work)


async def set_fields(unit: Change, cluster: Cluster, fields: ClusterFields, *, name_is_free: bool = False) -> None:
    """Change a cluster's fields but for its trust, as a part of a change. Raises OperatorError: a name is taken.

    name_is_free: as of `record_cluster`.
    """
    if fields.name is not None and fields.name != cluster.name:
        if not name_is_free:
            await check_name_is_free(unit.tx, unit.account_id, fields.name)
        await stored.set_cluster_name(unit.tx, unit.account_id, cluster.seq, fields.name)
        unit.record(
            "cluster_renamed",
            cluster_seq=cluster.seq,
            subject=f"cluster/{cluster.cluster_id}",
            details={"before": cluster.name, "name": fields.name},
        )
    if fields.told_state is not None and fields.told_state != cluster.told_state:
        await stored.set_cluster_told_state(unit.tx, unit.account_id, cluster.seq, fields.told_state)
        unit.record(
            "cluster_state_told",
            cluster_seq=cluster.seq,
            subject=f"cluster/{cluster.cluster_id}",
            details={"told_state": fields.told_state},
        )
    before = await stored.find_cluster_details(unit.tx, unit.account_id, cluster.seq)
    if before is not None and (after := _details(before, fields)) != before:
        await stored.set_cluster_details(unit.tx, unit.account_id, cluster.seq, after)
        unit.record(
            "cluster_details_changed",
            cluster_seq=cluster.seq,
            subject=f"cluster/{cluster.cluster_id}",
            details={name: new for name, new in after._asdict().items() if new != getattr(before, name)},
        )
    if before is not None and fields.attest_on_clean not in (None, bool(before.attest_on_clean)):
        await stored.set_attest_on_clean(unit.tx, unit.account_id, cluster.seq, on=bool(fields.attest_on_clean))
        unit.record(
            "attest_on_clean_set",
            cluster_seq=cluster.seq,
            subject=f"cluster/{cluster.cluster_id}",
            details={"on": bool(fields.attest_on_clean)},
        )


async def prepare_trust(custody: Custody, account_id: str, cluster: Cluster, client_ca: bytes) -> Judgements:
    """What `trust_bundle` will find out, so that it holds up others only while it writes.

    Nothing where the bundle is in force already. Raises OperatorError where it is none.
    """
    bundle = load_bundle(client_ca)
    if await custody.store.read(lambda tx: _is_in_force(tx, account_id, cluster, bundle)):
        return NO_JUDGEMENTS
    return await judge_ahead(custody.store, account_id, cluster.seq, bundle)


async def trust_bundle(
    unit: Change, cluster: Cluster, client_ca: bytes, ahead: Judgements = NO_JUDGEMENTS
) -> TrustChange | None:
    """Put a bundle in force and judge every certificate of the cluster by it; None where it is in force already.

    ahead: what `prepare_trust` found out for this bundle.
    """
    bundle = load_bundle(client_ca)
    if await _is_in_force(unit.tx, unit.account_id, cluster, bundle):
        return None
    epoch = cluster.trust_epoch + 1
    text = format_certificates(bundle)
    keys = {certificate.key_sha256 for certificate in bundle}
    await stored.add_trust_bundle(unit.tx, unit.account_id, cluster.seq, epoch, text, keys, unit.at)
    unit.record(
        "trust_changed",
        cluster_seq=cluster.seq,
        subject=f"cluster/{cluster.cluster_id}",
        details={"epoch": epoch, "authorities": sorted(certificate.fingerprint_hex for certificate in bundle)},
    )
    judged = await judge_cluster_anew(unit, cluster._replace(trust_epoch=epoch), bundle, ahead)
    return TrustChange(epoch, judged)


async def _is_in_force(tx: Transaction, account_id: str, cluster: Cluster, bundle: Sequence[Certificate]) -> bool:
    before = await stored.find_trust_bundle(tx, account_id, cluster.seq, cluster.trust_epoch)
    if before is None:
        return False
    known = {certificate.fingerprint for certificate in load_bundle(before.client_ca)}
    return known == {certificate.fingerprint for certificate in bundle}


async def delete_cluster(custody: Custody, account_id: str, author: Author, now: float, which: str) -> str:
    """Mark a cluster as deleted; its id. It stays listed, with what people hold in it, until it is purged."""

    async def work(unit: Change) -> str:
        cluster = await get_cluster(unit.tx, account_id, which)
        if cluster.deleted_at is None:
            await stored.set_cluster_deleted(unit.tx, account_id, cluster.seq, unit.at)
            unit.record("cluster_deleted", cluster_seq=cluster.seq, subject=f"cluster/{cluster.cluster_id}")
        return cluster.cluster_id

    return await change(custody.store, account_id, author, now, work)


async def purge_cluster(custody: Custody, account_id: str, author: Author, now: float, which: str) -> str:
    """Take a deleted cluster out of the list; its id. Refused while a credential of it may live."""

    async def work(unit: Change) -> str:
        cluster = await get_cluster(unit.tx, account_id, which)
        if cluster.deleted_at is None:
            raise OperatorError(
                f"{which} is not deleted, and only a deleted cluster can be purged: "
                "`kubecustody admin clusters delete` first."
            )
        live = await credentials.count_live_in_cluster(unit.tx, account_id, cluster.seq, unit.at)
        if live:
            raise OperatorError(
                f"{live} credentials of {which} may still live. Wait until they end, or attest their removal."
            )
        await stored.purge_cluster(unit.tx, account_id, cluster, unit.at)
        unit.record("cluster_purged", cluster_seq=cluster.seq, subject=f"cluster/{cluster.cluster_id}")
        return cluster.cluster_id

    return await change(custody.store, account_id, author, now, work)


async def get_cluster(tx: Transaction, account_id: str, which: str) -> Cluster:
    """The cluster of this id or name. Raises OperatorError where there is none, or several of the name."""
    found = await stored.find_cluster(tx, account_id, which)
    if found is not None:
        return found
    namesakes = await stored.list_clusters_by_name(tx, account_id, which, _NAMESAKES)
    # A deleted one gives way to a living namesake.
    named = [cluster for cluster in namesakes if cluster.deleted_at is None] or namesakes
    if not named:
        raise OperatorError(f"There is no cluster {which!r}. `kubecustody admin clusters list` shows them.")
    if len(named) > 1:
        ids = ", ".join(cluster.cluster_id for cluster in named)
        raise OperatorError(f"Several clusters are called {which}; say which by its id: {ids}.")
    return named[0]


async def list_all_clusters(custody: Custody, account_id: str) -> list[ListedCluster]:
    """Every listed cluster of the account, by seq."""

    async def work(tx: Transaction) -> list[ListedCluster]:
        account = await find_account(tx, account_id)
        count = account.cluster_count if account else 0
        found: list[ListedCluster] = []
        while len(found) < count:
            page = PageRequest(1 + len(found) // _LISTED_AT_ONCE, _LISTED_AT_ONCE)
            rows = await list_clusters(tx, account_id, _LAST_SEQ, page.offset, page.size)
            found += map(ListedCluster._make, rows)
        return found

    return await custody.store.read(work)
