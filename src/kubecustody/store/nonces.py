"""The table of spent nonces: one mapped file that all workers of a machine share.

The file is a header page and then buckets of one page. A bucket is 16 bytes with its cursor (the slot to
take next) and 255 slots of 16 bytes: 12 bytes of keyed digest of account, access key and nonce, and the unix
second up to which it counts. A nonce belongs to one bucket, so locking that bucket decides whether it is new.

Locks are POSIX record locks: the kernel releases them when a process dies, however it dies. Byte 0 stands for
the header, byte 1 for being present (shared, while a table is open), each bucket's page for itself. They hold
between processes only, and closing any descriptor of the file drops them all: a process opens one table for a
file, and after a fork, not before.

What a crash can take: a killed process nothing, for the page cache has what it wrote, and the cursor is
written before the slot, so that a death in between skips a slot and overwrites none. A machine that went down
can: a table not closed cleanly by the boot before, as one that is new, damaged or of another size, starts empty
and refuses what was signed before it began (`refuse_before`). A request whose date ran ahead of the clock,
spent before the loss, cannot be told from a new one.
"""

import fcntl
import math
import mmap
import os
import stat
import struct
import sys
import threading
from enum import Enum, auto
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from kubecustody.core.errors import OperatorError

# How long a nonce counts beyond its expiry, so that a clock set back by less cannot revive it.
GRACE_SECONDS = 60

_PAGE_BYTES = 4096
_SLOT_BYTES = 16
_DIGEST_BYTES = 12
_SLOTS_PER_BUCKET = 255
_KEY_BYTES = 32
_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
_MAGIC = b"kcnonces"
_FORMAT_VERSION = 1
# magic, format version, slot count, key, boot id, refuse_before, closed cleanly
_HEADER = struct.Struct(f"<8sII{_KEY_BYTES}s40sQ?")
_CHECK_BYTES = 16
_CURSOR = struct.Struct("<I")
_EXPIRY = struct.Struct(f"<{_DIGEST_BYTES}xI")
_SLOT = struct.Struct(f"<{_DIGEST_BYTES}sI")
_EXPIRIES = struct.Struct("<" + f"{_DIGEST_BYTES}xI" * _SLOTS_PER_BUCKET)

_HEADER_LOCK = (1, 0)  # length and start in the file
_PRESENCE_LOCK = (1, 1)


class Verdict(Enum):
    """Whether a nonce was spent: NEW, now it is; USED, it was before; FULL, there is no room to remember it."""

    NEW = auto()
    USED = auto()
    FULL = auto()


class _Header(NamedTuple):
    slots: int
    key: bytes
    boot_id: str
    refuse_before: int
    closed_cleanly: bool


class NonceTable:
    """Open with `NonceTable.open`. Threads may share it.

    refuse_before: unix seconds; whether a request signed earlier was here already is not known, so that it
    has to be refused.
    """

    def __init__(self, fd: int, header: _Header) -> None:
        self._fd = fd
        self._header = header
        self._memory = mmap.mmap(fd, _file_bytes(header.slots))
        self._buckets = _bucket_count(header.slots)
        self._keyed = blake2b(digest_size=_DIGEST_BYTES + 4, key=header.key)
        self._turn = threading.Lock()
        self.refuse_before = header.refuse_before

    @classmethod
    def open(cls, path: Path, *, now: float, slots: int = 2**19, boot_id: str | None = None) -> Self:
        """The table in that file, made anew where what is there cannot be relied on.

        slots: how many nonces are remembered at most; each is 16 bytes. Equal in all processes that share it.
        boot_id: of this run of the machine, by default what the kernel says; empty where unknown.
        Raises OperatorError when the file is not ours alone or cannot be made.
        """
        boot_id = _read_boot_id() if boot_id is None else boot_id
        try:
            return cls(*_open_file(path, slots, boot_id, now))
        except OSError as error:
            raise OperatorError(
                f"The table of spent nonces {path} cannot be opened: {error.strerror}. Give a file in a "
                f"directory on a local disk that this user may write to, with {_file_bytes(slots)} bytes free."
            ) from error

    def spend(self, account_id: str, access_key_id: str, nonce: str, expires_at: int, now: float) -> Verdict:
        """Remember the nonce until expires_at, or say that it cannot be accepted.

        Give the same `now` that the date of the request was checked with.
        """
        digest, start = self._place(account_id, access_key_id, nonce)
        with self._turn:
            fcntl.lockf(self._fd, fcntl.LOCK_EX, _PAGE_BYTES, start)
            try:
                return self._settle(start, digest, expires_at, now - GRACE_SECONDS)
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, _PAGE_BYTES, start)

    def close(self) -> None:
        """Write everything out, and note that this was done if no other process has the table open."""
        with self._turn:
            if self._fd < 0:
                return
            fcntl.lockf(self._fd, fcntl.LOCK_EX, *_HEADER_LOCK)
            self._memory.flush()
            if _is_alone(self._fd):
                _write_header(self._fd, self._header._replace(closed_cleanly=True))
                os.fsync(self._fd)
            self._memory.close()
            os.close(self._fd)  # drops the locks
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _place(self, account_id: str, access_key_id: str, nonce: str) -> tuple[bytes, int]:
        """The digest, and where in the file its bucket starts. Lengths go in, so that no parts run together."""
        keyed = self._keyed.copy()
        keyed.update(f"{len(account_id)}:{account_id}{len(access_key_id)}:{access_key_id}{nonce}".encode())
        digest = keyed.digest()
        bucket = int.from_bytes(digest[_DIGEST_BYTES:], "little") % self._buckets
        return digest[:_DIGEST_BYTES], (1 + bucket) * _PAGE_BYTES

    def _settle(self, start: int, digest: bytes, expires_at: int, forget_before: float) -> Verdict:
        place = self._find_digest(start, digest)
        if place is None:
            place = self._find_room(start, forget_before)
            if place is None:
                return Verdict.FULL
        elif _EXPIRY.unpack_from(self._memory, place)[0] >= forget_before:
            return Verdict.USED
        _CURSOR.pack_into(self._memory, start, (place - start) // _SLOT_BYTES % _SLOTS_PER_BUCKET)
        _SLOT.pack_into(self._memory, place, digest, expires_at)
        return Verdict.NEW

    def _find_digest(self, start: int, digest: bytes) -> int | None:
        """Where the slot with this digest is.

        In a copy of the bucket: `mmap.find` of Python before 3.11.5 reads one byte beyond the end of what it searches,
        which for the last bucket is no memory at all (https://github.com/python/cpython/issues/105235).
        """
        slots = self._memory[start + _SLOT_BYTES : start + _PAGE_BYTES]
        place = slots.find(digest)
        while place != -1 and place % _SLOT_BYTES:  # bytes of two neighbours that look like it
            place = slots.find(digest, place + 1)
        return None if place == -1 else start + _SLOT_BYTES + place

    def _find_room(self, start: int, forget_before: float) -> int | None:
        """The slot at the cursor, nearly always the oldest, else any whose nonce no longer counts."""
        (cursor,) = _CURSOR.unpack_from(self._memory, start)
        place: int = start + _SLOT_BYTES * (1 + cursor % _SLOTS_PER_BUCKET)
        if _EXPIRY.unpack_from(self._memory, place)[0] < forget_before:
            return place
        for slot, expiry in enumerate(_EXPIRIES.unpack_from(self._memory, start + _SLOT_BYTES)):
            if expiry < forget_before:
                return start + _SLOT_BYTES * (1 + slot)
        return None


# --- the file ------------------------------------------------------------------------------------------


def _bucket_count(slots: int) -> int:
    return -(-slots // _SLOTS_PER_BUCKET)


def _file_bytes(slots: int) -> int:
    return (1 + _bucket_count(slots)) * _PAGE_BYTES


def _read_boot_id() -> str:
    try:
        return _BOOT_ID_FILE.read_text("ascii").strip()
    except OSError:
        return ""


def _open_file(path: Path, slots: int, boot_id: str, now: float) -> tuple[int, _Header]:
    """A descriptor with its presence lock held, and the header. Who comes first makes the file."""
    fd = _open_locked(path)
    try:
        _check_owner(fd, path)
        header = _read_header(fd, slots)
        if header is None or not _is_vouched_for(fd, header, boot_id):
            _check_unused(fd, path)
            header = _Header(slots, os.urandom(_KEY_BYTES), boot_id, math.ceil(now), closed_cleanly=False)
            fresh = _make_file(path, header)
            os.close(fd)  # those who wait for its lock will see that the path is another file by now
            fd = fresh
        else:
            header = header._replace(boot_id=boot_id, closed_cleanly=False)
            _write_header(fd, header)
        fcntl.lockf(fd, fcntl.LOCK_SH, *_PRESENCE_LOCK)
        fcntl.lockf(fd, fcntl.LOCK_UN, *_HEADER_LOCK)
    except BaseException:
        os.close(fd)
        raise
    return fd, header


def _open_locked(path: Path) -> int:
    """A descriptor of the file that has this path, with its header lock held."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.lockf(fd, fcntl.LOCK_EX, *_HEADER_LOCK)
        try:
            if os.path.samestat(os.fstat(fd), path.stat()):
                return fd
        except FileNotFoundError:
            pass
        os.close(fd)


def _check_owner(fd: int, path: Path) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        raise OperatorError(f"The table of spent nonces {path} is no regular file. Give another path.")
    if status.st_uid != os.geteuid():
        raise OperatorError(
            f"The table of spent nonces {path} belongs to user {status.st_uid}, not to the user of this "
            f"process, {os.geteuid()}. Remove it or give another path."
        )
    if status.st_mode & 0o077:
        raise OperatorError(
            f"The table of spent nonces {path} is open to other users. Remove it, so that a new one is made; "
            f"if nobody else ever wrote to it, `chmod 600 {path}` will do."
        )


def _read_header(fd: int, slots: int) -> _Header | None:
    """None if it is absent, damaged, or of a table of another size or format."""
    raw = os.pread(fd, _HEADER.size + _CHECK_BYTES, 0)
    fields, check = raw[: _HEADER.size], raw[_HEADER.size :]
    if len(fields) != _HEADER.size or check != _checksum(fields):
        return None
    magic, version, stored_slots, key, boot_id, refuse_before, closed_cleanly = _HEADER.unpack(fields)
    expected = (_MAGIC, _FORMAT_VERSION, slots, _file_bytes(slots))
    if (magic, version, stored_slots, os.fstat(fd).st_size) != expected:
        return None
    return _Header(slots, key, boot_id.rstrip(b"\0").decode("ascii"), refuse_before, closed_cleanly)


def _write_header(fd: int, header: _Header) -> None:
    fields = _HEADER.pack(
        _MAGIC,
        _FORMAT_VERSION,
        header.slots,
        header.key,
        header.boot_id.encode("ascii"),
        header.refuse_before,
        header.closed_cleanly,
    )
    os.pwrite(fd, fields + _checksum(fields), 0)


def _checksum(fields: bytes) -> bytes:
    return blake2b(fields, digest_size=_CHECK_BYTES).digest()


def _is_vouched_for(fd: int, header: _Header, boot_id: str) -> bool:
    """Whether all that was written is still there: written out, in the page cache, or in use right now."""
    same_boot = header.boot_id == boot_id != ""
    return header.closed_cleanly or same_boot or not _is_alone(fd)


def _check_unused(fd: int, path: Path) -> None:
    """Two tables under one path would each take a nonce once."""
    if not _is_alone(fd):
        raise OperatorError(
            f"The table of spent nonces {path} is in use by another process, with another number of slots or "
            f"another format. Give all processes the same number, or stop the others first."
        )


def _is_alone(fd: int) -> bool:
    """Whether no other process has the table open. The own presence lock becomes exclusive by asking."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, *_PRESENCE_LOCK)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _make_file(path: Path, header: _Header) -> int:
    """A new empty table under this path, with its header lock held before anyone can see it."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX, *_HEADER_LOCK)
        _reserve(fd, _file_bytes(header.slots))
        _write_header(fd, header)
        os.fsync(fd)
        unfinished.rename(path)
    except BaseException:
        os.close(fd)
        unfinished.unlink(missing_ok=True)
        raise
    return fd


def _reserve(fd: int, length_bytes: int) -> None:
    """Blocks for all of it: a full disk must not show later, as a deadly signal at some write to memory."""
    if sys.platform == "darwin":  # has no such call
        os.ftruncate(fd, length_bytes)
    else:
        os.posix_fallocate(fd, 0, length_bytes)
