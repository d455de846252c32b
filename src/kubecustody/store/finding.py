"""Credentials one by one, whoever holds them: a stretch of them in an order, and all that is known of one."""

from collections.abc import Sequence
from typing import NamedTuple

from kubecustody.core.states import Credential
from kubecustody.store.credentials import Removal
from kubecustody.store.fleet import credential_of
from kubecustody.store.statements import statement
from kubecustody.store.transactions import Row, Transaction


class Scanned(NamedTuple):
    """A credential with what decides its state. trust_epoch: the cluster's; holder_deleted_at: None for nobody, too."""

    facts: Credential
    uid: str
    cluster_seq: int
    trust_epoch: int
    holder_deleted_at: int | None


class CredentialDetails(NamedTuple):
    """What is shown of a credential. organizations: a JSON array; key_stored_at: None where no key was ever kept.

    serial and organizations are None for a record without certificate, holder_name where there is no name (any more).
    """

    fingerprint: bytes | None
    serial: str | None
    common_name: str
    organizations: str | None
    origin: str
    temporary_minutes: int | None
    cluster_id: str
    cluster_name: str
    cluster_state: str
    holder_disabled_at: int | None
    holder_deleted_at: int | None
    holder_name: str | None
    key_stored_at: int | None
    key_destroyed_at: int | None


class ShownEvent(NamedTuple):
    """What is shown of an event."""

    event_no: int
    recorded_at_ms: int
    kind: str
    actor: str
    request_id: str
    reason: str


# Behind which (cluster, issued_at, credential_no) of a holder's to begin.
PlaceOfHolder = tuple[int, int, int]

_SCAN = statement("scan_credentials")
_SCAN_IN_CLUSTER = statement("scan_credentials_in_cluster")
_SCAN_OF = statement("scan_credentials_of")
_SCAN_BY_FINGERPRINT = statement("scan_credentials_by_fingerprint")
_SCAN_BY_SERIAL = statement("scan_credentials_by_serial")
_FIND_DETAILS = statement("find_credential_details")
_LIST_REMOVALS = statement("list_removals")
EVERY_EVENT = 2**62

_LIST_EVENTS = statement("list_newest_events_about")
_LIST_EVENTS_OF_KIND = statement("list_newest_events_of_kind_about")


async def scan_credentials(tx: Transaction, account_id: str, after_no: int, at_most: int) -> list[Scanned]:
    """At most `at_most` credentials of the account behind that number, by number."""
    return _scanned(await tx.fetch_all(_SCAN, account_id, after_no, at_most))


async def scan_credentials_in_cluster(
    tx: Transaction, account_id: str, cluster_seq: int, after_no: int, at_most: int
) -> list[Scanned]:
    """At most `at_most` credentials of the cluster behind that number, by number."""
    return _scanned(await tx.fetch_all(_SCAN_IN_CLUSTER, account_id, cluster_seq, after_no, at_most))


async def scan_credentials_of(
    tx: Transaction, account_id: str, uid: str, last_seq: int, after: PlaceOfHolder, at_most: int
) -> list[Scanned]:
    """At most `at_most` credentials of one holder behind that place, by cluster up to last_seq, the oldest first."""
    return _scanned(await tx.fetch_all(_SCAN_OF, account_id, uid, last_seq, *after, at_most))


async def scan_credentials_by_fingerprint(
    tx: Transaction, account_id: str, fingerprint: bytes, after_seq: int, at_most: int
) -> list[Scanned]:
    """At most `at_most` credentials of this certificate behind that cluster, by cluster."""
    return _scanned(await tx.fetch_all(_SCAN_BY_FINGERPRINT, account_id, fingerprint, after_seq, at_most))


async def scan_credentials_by_serial(
    tx: Transaction, account_id: str, serial: str, after_no: int, at_most: int
) -> list[Scanned]:
    """At most `at_most` credentials of this serial number (lower-case hex) behind that credential number, by it."""
    return _scanned(await tx.fetch_all(_SCAN_BY_SERIAL, account_id, serial, after_no, at_most))


def _scanned(rows: Sequence[Row]) -> list[Scanned]:
    return [Scanned(credential_of(row[:11]), *row[11:]) for row in rows]


async def get_credential_details(tx: Transaction, account_id: str, credential_no: int) -> CredentialDetails:
    """What is shown of a credential that a scan found in the same snapshot."""
    row = await tx.fetch_one(_FIND_DETAILS, account_id, credential_no)
    if row is None:
        raise RuntimeError(f"credential {credential_no} is gone within one snapshot")
    return CredentialDetails._make(row)


async def list_removals(tx: Transaction, account_id: str, credential_no: int) -> list[Removal]:
    """Every step in the removal of a credential, the oldest first."""
    return [Removal._make(row) for row in await tx.fetch_all(_LIST_REMOVALS, account_id, credential_no)]


async def list_events_about(
    tx: Transaction,
    account_id: str,
    cluster_seq: int,
    subject: str,
    at_most: int,
    kind: str = "",
    last_no: int = EVERY_EVENT,
) -> list[ShownEvent]:
    """Events about a subject of a cluster, of one kind if that is said, the newest first.

    They are at most `at_most`, none with a number above `last_no`.
    """
    if not kind:
        rows = await tx.fetch_all(_LIST_EVENTS, account_id, cluster_seq, subject, last_no, at_most)
    else:
        rows = await tx.fetch_all(_LIST_EVENTS_OF_KIND, account_id, cluster_seq, subject, kind, last_no, at_most)
    return [ShownEvent._make(row) for row in rows]
