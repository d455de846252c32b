"""Clusters that trust the key of the same client CA are found, whatever certificate of it each of them has."""

import contextlib
import re
import sqlite3
from pathlib import Path

from custody.books import ask
from custody.fleets import NOW, Fleet
from custody.reissued import reissue
from installations import AUTHOR
from kubecustody.custody.installation import Custody, add_account
from kubecustody.pki.issuing import make_ca
from kubecustody.store.clusters import find_cluster, list_of_same_client_ca
from kubecustody.store.migrations import all_migrations, migrate_store
from kubecustody.store.transactions import Transaction

VERSION = 7
ADDED = re.compile(r"^CREATE (TABLE|INDEX) (\w+)|^ALTER TABLE (\w+) ADD COLUMN (\w+)", re.MULTILINE)
KEYS = "SELECT account_id, cluster_seq, key_sha256 FROM client_ca_keys ORDER BY account_id, cluster_seq, key_sha256"


def twins(fleet: Fleet, cluster_id: str) -> list[str]:
    """The names of the other clusters of the same client CA."""

    async def work(tx: Transaction) -> list[str]:
        cluster = await find_cluster(tx, fleet.account_id, cluster_id)
        assert cluster is not None
        return [twin.name for twin in await list_of_same_client_ca(tx, fleet.account_id, cluster.seq, 20)]

    return list(fleet.installation.run(lambda custody: custody.store.read(work)))


def test_a_ca_that_was_issued_anew_is_the_same_one(fleet: Fleet) -> None:
    ca, other = make_ca("ca", NOW, 30), make_ca("ca", NOW, 30)
    prod = fleet.add_cluster("prod-eu", ca.certificate)
    fleet.add_cluster("reissued", other.certificate + reissue(ca, "another name", NOW))
    fleet.add_cluster("namesake", make_ca("ca", NOW, 30).certificate)
    assert twins(fleet, prod) == ["reissued"]
    fleet.trust(prod, other.certificate)
    assert twins(fleet, prod) == ["reissued"], "a bundle's other member counts as well"
    fleet.trust("reissued", ca.certificate)
    assert twins(fleet, prod) == [], "what is trusted no more counts no more"


def test_clusters_of_another_account_are_never_told(fleet: Fleet) -> None:
    async def found(custody: Custody) -> str:
        return await add_account(custody, AUTHOR, NOW, name="second", region_id="local")

    another = Fleet(fleet.installation, fleet.installation.run(found))
    ca = make_ca("ca", NOW, 30)
    prod = fleet.add_cluster("prod-eu", ca.certificate)
    another.add_cluster("theirs", ca.certificate)
    assert twins(fleet, prod) == []


def test_bundles_that_were_in_force_before_are_found_by_the_migration(fleet: Fleet) -> None:
    old, new = make_ca("old", NOW, 30), make_ca("new", NOW, 30)
    fleet.add_cluster("prod-eu", old.certificate + new.certificate)
    fleet.trust("prod-eu", new.certificate)
    fleet.add_cluster("unknown")
    before = ask(fleet.path, KEYS)
    forget(fleet.path)
    assert [one.version for one in migrate_store(fleet.path, NOW)] == [VERSION]
    assert ask(fleet.path, KEYS) == before and before


def forget(path: Path) -> None:
    """Make the store one that an older program left."""
    (migration,) = [one for one in all_migrations() if one.version == VERSION]
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for kind, name, table, column in reversed(ADDED.findall(migration.sql)):
            connection.execute(f"DROP {kind} {name}" if kind else f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("DELETE FROM migrations WHERE version = ?", (VERSION,))
        connection.commit()
