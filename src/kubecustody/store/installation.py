"""The installation, its accounts, and the events of each account."""

from collections.abc import Sequence
from typing import NamedTuple

from kubecustody.core.events import Event
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class Installation(NamedTuple):
    """What is said of the installation as a whole; key_check is sealed by its key ring.

    restored_at, backup_made_at: of a store that was restored; quarantined: until what may be missing was seen.
    """

    installation_id: str
    created_at: int
    epoch: int
    key_check: bytes
    restored_at: int | None
    backup_made_at: int | None
    quarantined: int


class InstallationSecret(NamedTuple):
    """A sealed secret of the installation, and when it was last used to make something or changed."""

    sealed: bytes
    changed_at: int


class Account(NamedTuple):
    """An account and how many clusters it lists."""

    account_id: str
    name: str
    region_id: str
    created_at: int
    cluster_count: int


class Counters(NamedTuple):
    """Where an account's numbers stand."""

    last_event_no: int
    last_seal_hash: bytes
    last_cluster_seq: int
    last_credential_no: int
    iam_version: int


_FIND_INSTALLATION = statement("find_installation")
_ADD_INSTALLATION = statement("add_installation")
_END_QUARANTINE = statement("end_quarantine")
_FIND_LAST_EVENT = statement("find_last_event_before")
_COUNT_LIVE = statement("count_live")
_SET_KEY_CHECK = statement("set_key_check")
_FIND_SECRET = statement("find_installation_secret")
_SET_SECRET = statement("set_installation_secret")
_LIST_SECRETS = statement("list_installation_secrets")
_ADD_ACCOUNT = statement("add_account")
_LIST_ACCOUNTS = statement("list_accounts")
_FIND_ACCOUNT = statement("find_account")
_LOCK_ACCOUNT = statement("lock_account")
_FINISH_CHANGES = statement("finish_changes")
_ADD_EVENT = statement("add_event")
_ADD_EVENT_SEAL = statement("add_event_seal")


async def find_installation(tx: Transaction) -> Installation | None:
    """The installation; None in a store that `init` did not finish."""
    row = await tx.fetch_one(_FIND_INSTALLATION)
    return Installation._make(row) if row is not None else None


async def add_installation(tx: Transaction, installation_id: str, created_at: int, key_check: bytes) -> None:
    """Record the installation, once."""
    await tx.execute(_ADD_INSTALLATION, installation_id, created_at, key_check)


async def set_key_check(tx: Transaction, key_check: bytes) -> None:
    """Replace what tells a wrong key ring."""
    await tx.execute(_SET_KEY_CHECK, key_check)


async def end_quarantine(tx: Transaction) -> None:
    """Trust the store that was restored."""
    await tx.execute(_END_QUARANTINE)


async def count_live(tx: Transaction, account_id: str, now: int) -> int:
    """How many credentials of the account may still get in."""
    row = await tx.fetch_one(_COUNT_LIVE, account_id, now)
    return int(row[0]) if row is not None else 0


async def find_last_event_before(tx: Transaction, account_id: str, at: int) -> int:
    """The number of the account's last event that was recorded before this moment (unix seconds); 0 where none was."""
    row = await tx.fetch_one(_FIND_LAST_EVENT, account_id, at * 1000)
    return int(row[0]) if row is not None and row[0] is not None else 0


async def find_installation_secret(tx: Transaction, name: str) -> InstallationSecret | None:
    """A sealed secret of the installation itself."""
    row = await tx.fetch_one(_FIND_SECRET, name)
    return InstallationSecret._make(row) if row is not None else None


async def set_installation_secret(tx: Transaction, name: str, sealed: bytes, now: int) -> None:
    """Record or replace a sealed secret of the installation."""
    await tx.execute(_SET_SECRET, name, sealed, now)


async def list_installation_secrets(tx: Transaction) -> list[tuple[str, bytes, int]]:
    """Name, sealed form and changed_at of every secret of the installation."""
    return [(row[0], row[1], row[2]) for row in await tx.fetch_all(_LIST_SECRETS)]


async def add_account(tx: Transaction, account: Account, first_seal_hash: bytes) -> None:
    """Record an account without clusters."""
    await tx.execute(
        _ADD_ACCOUNT, account.account_id, account.name, account.region_id, account.created_at, first_seal_hash
    )


async def list_accounts(tx: Transaction) -> list[Account]:
    """Every open account, by id."""
    return [Account._make(row) for row in await tx.fetch_all(_LIST_ACCOUNTS)]


async def find_account(tx: Transaction, account_id: str) -> Account | None:
    """The account of this id."""
    row = await tx.fetch_one(_FIND_ACCOUNT, account_id)
    return Account._make(row) if row is not None else None


async def lock_account(tx: Transaction, account_id: str) -> Counters | None:
    """The account's counters, held until the transaction ends; None without the account."""
    row = await tx.fetch_one(_LOCK_ACCOUNT, account_id)
    return Counters._make(row) if row is not None else None


async def add_sealed_events(
    tx: Transaction, account_id: str, events: Sequence[Event], seal_hash: bytes, counters: Counters
) -> None:
    """Append the events of one transaction, at least one, numbered on from the last, with their seal, and say where the
    account's numbers stand after it and that its data changed.
    """
    await tx.execute_many(_ADD_EVENT, events)
    first_event_no, last_event_no = events[0].event_no, events[-1].event_no
    await tx.execute(_ADD_EVENT_SEAL, account_id, last_event_no, first_event_no, seal_hash)
    await tx.execute(
        _FINISH_CHANGES, account_id, last_event_no, seal_hash, counters.last_credential_no, counters.iam_version
    )
