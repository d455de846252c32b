"""What a migration fills in for rows that are there already, where SQL alone cannot."""

import sqlite3
from collections.abc import Callable, Mapping

from kubecustody.pki.trust import load_bundle


def fill_client_ca_keys(connection: sqlite3.Connection) -> None:
    """Record the keys of every client CA bundle that is in force."""
    bundles = connection.execute(
        "SELECT c.account_id, c.seq, t.client_ca FROM clusters AS c JOIN trust_bundles AS t"
        " ON t.account_id = c.account_id AND t.cluster_seq = c.seq AND t.epoch = c.trust_epoch"
    ).fetchall()
    for account_id, seq, client_ca in bundles:
        keys = {certificate.key_sha256 for certificate in load_bundle(client_ca)}
        rows = [(account_id, seq, key) for key in sorted(keys)]
        connection.executemany("INSERT INTO client_ca_keys VALUES (?, ?, ?)", rows)


FILLING: Mapping[int, Callable[[sqlite3.Connection], None]] = {7: fill_client_ca_keys}
