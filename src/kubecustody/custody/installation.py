"""The installation: making it, opening it, giving it accounts, changing its master key."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

from kubecustody import __version__
from kubecustody.core.errors import OperatorError
from kubecustody.core.events import first_hash
from kubecustody.core.names import PrincipalKind, check_account_name, fold_name
from kubecustody.custody.changes import Author, Change, change_within
from kubecustody.pki.sealing import (
    KeyRing,
    KeyVersionMissing,
    MasterKeyWrong,
    Sealer,
    load_key_ring,
    write_key_ring,
)
from kubecustody.settings import Settings
from kubecustody.store import accesses, credentials, installation, issuing, pending, principals
from kubecustody.store.migrations import check_schema, create_store
from kubecustody.store.sqlite import SQLiteStore, check_private
from kubecustody.store.transactions import Store, Transaction

if TYPE_CHECKING:
    from kubecustody.cluster.connections import Connections

RandomBytes = Callable[[int], bytes]

TLS_ROOT_KEY = "tls-root-key"
RENEW_AFTER_SECONDS = 360 * 86400  # of the 397 days of a server certificate

_CHECK = b"kubecustody key ring"


@dataclass(slots=True)
class Custody:
    """An open installation: its store, what seals its secrets, and where its randomness comes from.

    `load_ring` reads the key ring again: another process may have given it a new master key. restored_at: what was
    signed before is refused, 0 where the store never came from a backup.
    """

    store: Store
    sealer: Sealer
    load_ring: Callable[[], KeyRing]
    settings: Settings
    random_bytes: RandomBytes = os.urandom
    restored_at: int = 0
    _quarantined: bool = False
    _connections: "Connections | None" = None

    def open_access_key_secret(self, account_id: str, access_key_id: str, sealed: bytes) -> bytes:
        """The secret of an access key. Raises SealBroken, KeyRingUnusable."""
        return self._open(sealed, "access_keys", "sealed_secret", account_id, access_key_id)

    def open_private_key(self, account_id: str, credential_no: int, sealed: bytes) -> bytes:
        """The private key of a credential, PEM. Raises SealBroken, KeyRingUnusable."""
        return self._open(sealed, "private_keys", "sealed", account_id, str(credential_no))

    def open_signer_key(self, account_id: str, cluster_seq: int, signer_no: int, sealed: bytes) -> bytes:
        """The key of a CA, PEM. Raises SealBroken, KeyRingUnusable."""
        return self._open(sealed, "signers", "sealed_key", account_id, f"{cluster_seq}/{signer_no}")

    def open_cluster_access(self, account_id: str, cluster_seq: int, sealed: bytes) -> bytes:
        """How a cluster is reached. Raises SealBroken, KeyRingUnusable."""
        return self._open(sealed, "cluster_accesses", "sealed", account_id, str(cluster_seq))

    async def is_quarantined(self) -> bool:
        """Whether the store was restored and nobody has accepted it yet; another process may have."""
        if self._quarantined:
            found = await self.store.read(installation.find_installation)
            self._quarantined = found is not None and bool(found.quarantined)
        return self._quarantined

    def connections(self) -> "Connections":
        """The connections to clusters of this process, made when they are first wanted."""
        if self._connections is None:
            from kubecustody.cluster.connections import Connections  # a worker that only answers does not carry them

            networks = self.settings.networks_of_clusters
            loopback = any(network.is_loopback for network in networks)
            self._connections = Connections(networks, loopback)
        return self._connections

    async def close_connections(self) -> None:
        """Close the connections to clusters."""
        if self._connections is not None:
            await self._connections.close()
            self._connections = None

    def open_session_token(self, sealed: bytes) -> bytes:
        """What a session's token holds. Raises SealBroken, KeyRingUnusable."""
        return self._open(sealed, "sessions", "token", "", "")

    def _open(self, sealed: bytes, table: str, column: str, account_id: str, row_id: str) -> bytes:
        try:
            return self.sealer.open(sealed, table=table, column=column, account_id=account_id, row_id=row_id)
        except KeyVersionMissing:
            self.sealer = replace(self.sealer, ring=self.load_ring())
            return self.sealer.open(sealed, table=table, column=column, account_id=account_id, row_id=row_id)


def seal_key_check(sealer: Sealer) -> bytes:
    """What the store keeps to tell a wrong key ring at the start."""
    return sealer.seal(_CHECK, table="installation", column="key_check", account_id="", row_id="")


def create_installation(settings: Settings, ring: KeyRing, now: float, random_bytes: RandomBytes) -> str:
    """Make an empty store sealed by `ring`; the id of the installation. Raises StoreUnusable."""
    create_store(settings.store_file, int(now))
    return str(UUID(bytes=random_bytes(16), version=4))


async def record_installation(store: Store, sealer: Sealer, now: float) -> None:
    """Write down whose store this is."""

    async def work(tx: Transaction) -> None:
        await installation.add_installation(tx, sealer.installation_id, int(now), seal_key_check(sealer))

    await store.write(work)


async def open_custody(settings: Settings, *, random_bytes: RandomBytes = os.urandom) -> tuple[SQLiteStore, Custody]:
    """The store, to be closed by the caller, and the installation in it.

    Raises StoreUnusable (no store, readable by others, damaged, another schema), KeyRingUnusable, and OperatorError
    where the key ring does not belong to the store.
    """
    check_private(settings.store_file)
    load_ring = partial(load_key_ring, settings.key_ring_file, os.environ.get("KUBECUSTODY_KEY_RING"))
    check_schema(settings.store_file, __version__)
    store = SQLiteStore(settings.store_file)
    try:
        found = await store.read(installation.find_installation)
        if found is None:
            raise OperatorError(
                f"The store {settings.store_file} was never finished by `kubecustody init`. Remove it and run init "
                "again."
            )
        # Only now: a new master key is in the ring before anything is sealed by it.
        try:
            sealer = check_key_ring(load_ring(), found.installation_id, found.key_check)
        except MasterKeyWrong as error:
            raise OperatorError(f"The key ring does not belong to {settings.store_file}. {error}") from error
    except BaseException:
        store.close()
        raise
    quarantined, restored_at = bool(found.quarantined), found.restored_at or 0
    return store, Custody(store, sealer, load_ring, settings, random_bytes, restored_at, quarantined)


def check_key_ring(ring: KeyRing, installation_id: str, key_check: bytes) -> Sealer:
    """What seals the secrets of this installation. Raises KeyRingUnusable unless the ring belongs to it."""
    sealer = Sealer(ring, installation_id)
    sealer.open(key_check, table="installation", column="key_check", account_id="", row_id="")
    return sealer


async def add_account(
    custody: Custody, author: Author, now: float, *, name: str, region_id: str, account_id: str | None = None
) -> str:
    """A new account with its own principal; its id (16 digits, the first 1)."""
    check_account_name(name)
    new_id = account_id or "1" + random_digits(custody.random_bytes, 15)
    if not (new_id.isdecimal() and new_id.isascii() and 1 <= len(new_id) <= 32):
        raise OperatorError(f"{new_id!r} cannot be an account's id: it must be 1 to 32 digits.")

    async def work(tx: Transaction) -> None:
        if await installation.find_account(tx, new_id) is not None:
            raise OperatorError(f"There is an account {new_id} already. Give another id, or none.")
        if any(fold_name(name) == fold_name(other.name) for other in await installation.list_accounts(tx)):
            raise OperatorError(f"There is an account called {name} already. Give another name.")
        account = installation.Account(new_id, name, region_id, int(now), 0)
        await installation.add_account(tx, account, first_hash(new_id))
        await principals.add_principal(tx, new_id, new_id, PrincipalKind.ACCOUNT, int(now))
        await change_within(tx, new_id, author, now, note)

    async def note(unit: Change) -> None:
        unit.record("account_created", uid=new_id, subject=f"principal/{new_id}", details={"region_id": region_id})

    await custody.store.write(work)
    return new_id


async def list_accounts(custody: Custody) -> list[installation.Account]:
    """Every open account, by id."""
    return await custody.store.read(installation.list_accounts)


async def get_account(custody: Custody, account_id: str | None) -> installation.Account:
    """The account of this id or name; without one, the only account there is. Raises OperatorError."""
    accounts = await list_accounts(custody)
    if account_id is None:
        if len(accounts) == 1:
            return accounts[0]
        if not accounts:
            raise OperatorError("There is no account. `kubecustody admin accounts add NAME` makes one.")
        raise OperatorError(f"There are {len(accounts)} accounts; say which: --account ID.")
    for account in accounts:
        if account.account_id == account_id or fold_name(account.name) == fold_name(account_id):
            return account
    raise OperatorError(f"There is no account {account_id}. `kubecustody admin accounts list` shows them.")


def random_digits(random_bytes: RandomBytes, count: int) -> str:
    """That many decimal digits, each equally likely."""
    return str(int.from_bytes(random_bytes(count)) % 10**count).rjust(count, "0")


def random_letters(random_bytes: RandomBytes, count: int) -> str:
    """That many letters and digits, each equally likely to within 2^-64."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    number = int.from_bytes(random_bytes(count + 8))
    letters = []
    for _ in range(count):
        number, digit = divmod(number, len(alphabet))
        letters.append(alphabet[digit])
    return "".join(letters)


async def is_renewal_due(custody: Custody, now: float) -> bool:
    """Whether the server certificate of our own making is due for renewal."""
    root = await custody.store.read(lambda tx: installation.find_installation_secret(tx, TLS_ROOT_KEY))
    return root is not None and now - root.changed_at > RENEW_AFTER_SECONDS


async def rotate_master_key(settings: Settings, custody: Custody, author: Author, now: float) -> int:
    """Seal every secret anew with a new master key; how many there were.

    The ring with the new key is written first, so that a stop at any moment leaves a ring that opens everything.
    The old keys stay in the ring: backups need them.
    """
    if "KUBECUSTODY_KEY_RING" in os.environ:
        raise OperatorError(
            "The key ring comes from KUBECUSTODY_KEY_RING, which this command cannot change. Put it into the file "
            f"{settings.key_ring_file}, unset the variable, and run the command again."
        )

    async def work(tx: Transaction) -> int:
        # Under the store's write lock: of two rotations at once, the second begins with the first one's ring.
        old = replace(custody.sealer, ring=custody.load_ring())
        new = replace(old, ring=old.ring.rotated(custody.random_bytes))
        write_key_ring(settings.key_ring_file, new.ring, replace=True)
        count = await _reseal_everything(tx, old, new, author, now)
        custody.sealer = new
        return count

    return await custody.store.write(work)


async def _reseal_everything(tx: Transaction, old: Sealer, new: Sealer, author: Author, now: float) -> int:
    """Seal every secret of the store with the current key of `new`; how many there were."""

    async def note(unit: Change) -> None:
        unit.record("master_key_rotated", details={"version": new.ring.current})
        unit.touch_permissions()

    count = 0
    for name, sealed, changed_at in await installation.list_installation_secrets(tx):
        resealed = seal_installation_secret(new, name, open_installation_secret(old, name, sealed))
        await installation.set_installation_secret(tx, name, resealed, changed_at)
        count += 1
    for account in await installation.list_accounts(tx):
        count += await _reseal_account(tx, account.account_id, old, new)
        await change_within(tx, account.account_id, author, now, note)
    await installation.set_key_check(tx, seal_key_check(new))
    return count


async def _reseal_account(tx: Transaction, account_id: str, old: Sealer, new: Sealer) -> int:
    keys = await principals.list_sealed_access_keys(tx, account_id)
    for access_key_id, sealed in keys:
        secret = open_access_key_secret(old, account_id, access_key_id, sealed)
        await principals.set_sealed_secret(
            tx, account_id, access_key_id, seal_access_key_secret(new, account_id, access_key_id, secret)
        )
    signers = await issuing.list_sealed_signers(tx, account_id)
    for cluster_seq, number, sealed in signers:
        row = f"{cluster_seq}/{number}"
        plain = old.open(sealed, table="signers", column="sealed_key", account_id=account_id, row_id=row)
        resealed = seal_signer_key(new, account_id, cluster_seq, number, plain)
        await issuing.set_sealed_signer(tx, account_id, cluster_seq, number, resealed)
    reached = await accesses.list_sealed_accesses(tx, account_id)
    for cluster_seq, sealed in reached:
        row = str(cluster_seq)
        plain = old.open(sealed, table="cluster_accesses", column="sealed", account_id=account_id, row_id=row)
        await accesses.set_sealed_access(
            tx, account_id, cluster_seq, seal_cluster_access(new, account_id, cluster_seq, plain)
        )
    waiting = await pending.list_sealed_pending(tx, account_id)
    for cluster_seq, cn, sealed in waiting:
        plain = open_pending_key(old, account_id, cluster_seq, cn, sealed)
        resealed = seal_pending_key(new, account_id, cluster_seq, cn, plain)
        await pending.set_sealed_pending(tx, account_id, cluster_seq, cn, resealed)
    private = await credentials.list_sealed_private_keys(tx, account_id)
    for number, sealed in private:
        plain = old.open(sealed, table="private_keys", column="sealed", account_id=account_id, row_id=number)
        resealed = seal_private_key(new, account_id, number, plain)
        await credentials.set_sealed_private_key(tx, account_id, number, resealed)
    return len(keys) + len(signers) + len(reached) + len(waiting) + len(private)


def seal_access_key_secret(sealer: Sealer, account_id: str, access_key_id: str, secret: bytes) -> bytes:
    """The sealed form of an access key's secret."""
    return sealer.seal(secret, table="access_keys", column="sealed_secret", account_id=account_id, row_id=access_key_id)


def open_access_key_secret(sealer: Sealer, account_id: str, access_key_id: str, sealed: bytes) -> bytes:
    """The secret of an access key. Raises SealBroken."""
    return sealer.open(sealed, table="access_keys", column="sealed_secret", account_id=account_id, row_id=access_key_id)


def seal_signer_key(sealer: Sealer, account_id: str, cluster_seq: int, signer_no: int, key: bytes) -> bytes:
    """The sealed form of a CA's key."""
    row = f"{cluster_seq}/{signer_no}"
    return sealer.seal(key, table="signers", column="sealed_key", account_id=account_id, row_id=row)


def seal_cluster_access(sealer: Sealer, account_id: str, cluster_seq: int, access: bytes) -> bytes:
    """The sealed form of how a cluster is reached."""
    return sealer.seal(
        access, table="cluster_accesses", column="sealed", account_id=account_id, row_id=str(cluster_seq)
    )


def seal_pending_key(sealer: Sealer, account_id: str, cluster_seq: int, cn: str, key: bytes) -> bytes:
    """The sealed form of the key of an issue that is begun."""
    row = f"{cluster_seq}/{cn}"
    return sealer.seal(key, table="pending_issues", column="sealed_key", account_id=account_id, row_id=row)


def open_pending_key(sealer: Sealer, account_id: str, cluster_seq: int, cn: str, sealed: bytes) -> bytes:
    """The key of an issue that is begun. Raises SealBroken."""
    row = f"{cluster_seq}/{cn}"
    return sealer.open(sealed, table="pending_issues", column="sealed_key", account_id=account_id, row_id=row)


def seal_private_key(sealer: Sealer, account_id: str, credential_no: int, key: bytes) -> bytes:
    """The sealed form of a credential's private key."""
    return sealer.seal(key, table="private_keys", column="sealed", account_id=account_id, row_id=credential_no)


def seal_installation_secret(sealer: Sealer, name: str, secret: bytes) -> bytes:
    """The sealed form of a secret of the installation itself."""
    return sealer.seal(secret, table="installation_secrets", column="sealed", account_id="", row_id=name)


def open_installation_secret(sealer: Sealer, name: str, sealed: bytes) -> bytes:
    """A secret of the installation itself. Raises SealBroken."""
    return sealer.open(sealed, table="installation_secrets", column="sealed", account_id="", row_id=name)
