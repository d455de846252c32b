"""What one more credential adds to a holding is what reading all of them again would give."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from custody.books import rebuilt_holdings, stored_holdings
from kubecustody.store.credentials import NewCredential, add_credential, add_to_holding, set_removed, update_holding
from kubecustody.store.migrations import create_store
from kubecustody.store.sqlite import SQLiteStore, connect
from kubecustody.store.transactions import Transaction

ACCOUNT, UID, CLUSTER, EPOCH, NOW = "1", "2", 3, 5, 100

# A few moments, so that they meet; issued later than now: an import that is not valid yet.
credentials = st.builds(
    lambda number, issued_at, life, vouched, epoch: NewCredential(
        uid=UID,
        cluster_seq=CLUSTER,
        origin="imported",
        fingerprint=bytes([number]) * 32,
        common_name=str(number),
        not_before=issued_at,
        not_after=issued_at + life,
        vouched_until=None if vouched is None else issued_at + min(life, vouched),
        trust_epoch=epoch,
        verdict="chains",
        masters=False,
        chain=b"",
        serial="1",
        organizations="[]",
        issued_at=issued_at,
    ),
    st.integers(0, 255),
    st.integers(NOW - 2, NOW + 2),
    st.integers(1, 4),
    st.none() | st.integers(1, 4),
    st.sampled_from([EPOCH - 1, EPOCH]),
)


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(credentials, max_size=4, unique_by=lambda one: one.fingerprint),
    removed=st.booleans(),
    judged_at=st.sampled_from([EPOCH - 1, EPOCH]),
    new=credentials.map(lambda one: one._replace(fingerprint=b"new", trust_epoch=EPOCH, issued_at=NOW)),
)
def test_one_more_adds_what_all_add_up_to(
    before: list[NewCredential], removed: bool, judged_at: int, new: NewCredential
) -> None:
    async def work(tx: Transaction) -> None:
        for number, one in enumerate(before, 1):
            await add_credential(tx, ACCOUNT, number, one, NOW)
        if before and removed:
            await set_removed(tx, ACCOUNT, 1, NOW, "attested", NOW)
        await update_holding(tx, ACCOUNT, UID, CLUSTER, judged_at)
        await add_credential(tx, ACCOUNT, len(before) + 1, new, NOW)
        await add_to_holding(tx, ACCOUNT, new, NOW)

    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        create_store(path, NOW)
        store = SQLiteStore(path)
        asyncio.run(store.write(work))
        store.close()
        connection = connect(path, busy_timeout_ms=0)
        connection.execute("INSERT INTO trust_bundles VALUES (?, ?, ?, '', ?)", (ACCOUNT, CLUSTER, EPOCH, NOW))
        assert stored_holdings(connection, ACCOUNT) == rebuilt_holdings(connection, ACCOUNT) != {}
        connection.close()
