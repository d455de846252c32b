"""What a store can fail with. The database's own errors are translated here, once; their cause is kept."""

import sqlite3

from kubecustody.core.errors import OperatorError, ServiceUnavailable


class StoreUnusable(OperatorError):
    """The store cannot be opened or used as it is; the text says why and what to do."""


class AlreadyThere(OperatorError):
    """A row with this key exists. The use case that knows what it is says so in its own words."""


_BUSY = "the store is busy with another change"
_DAMAGED = "the store is damaged"
_REASONS = {
    "SQLITE_BUSY": _BUSY,
    "SQLITE_LOCKED": _BUSY,
    "SQLITE_READONLY": "the store is read-only",
    "SQLITE_FULL": "the disk of the store is full",
    "SQLITE_IOERR": "the disk of the store gives errors",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_CANTOPEN": "the store cannot be opened",
    "SQLITE_PERM": "the store may not be accessed",
}


def translate(error: sqlite3.Error) -> Exception:
    """The error of this project for one of SQLite's; the error itself where it is a mistake of our own."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_CONSTRAINT"):
        return AlreadyThere(str(error))
    primary = "_".join(name.split("_")[:2])
    reason = _REASONS.get(primary)
    if reason is None:
        return error
    # What a person has to mend is not mended within a second.
    return ServiceUnavailable(reason, 1000 if reason == _BUSY else 60_000)


def is_busy(error: Exception) -> bool:
    """Whether this is the error of a store that another writer holds."""
    return isinstance(error, ServiceUnavailable) and error.reason == _BUSY


def is_damage(error: Exception) -> bool:
    """Whether this is the error of a store whose file is damaged, or no database at all."""
    return isinstance(error, ServiceUnavailable) and error.reason == _DAMAGED
