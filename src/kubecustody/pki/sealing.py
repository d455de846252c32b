"""Secrets sealed for the store: AES-256-GCM, one key per row.

The row's key is HKDF-SHA256 (RFC 5869) of a master key with 32 random bytes of the row as salt. Bound to the
content are installation, table, column, account, row and key version, so that a sealed value opens nowhere but
where it was sealed. Layout of a sealed value:

    format 1 byte | key version 4 bytes | key mark 8 bytes | salt 32 | nonce 12 | content and tag

The key mark is a function of the master key alone, and says at once whether the ring's key of that version is
the one that sealed; else a wrong key and a damaged row would look the same.

The key ring as text, which is TOML too (`;` may stand for a line end, for environment variables):

    v1 = "<base64 of 32 bytes>"
    v2 = "<base64 of 32 bytes>"
    current = 2
"""

import base64
import contextlib
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from kubecustody.core.errors import OperatorError

RandomBytes = Callable[[int], bytes]
Value = TypeVar("Value")

FORMAT = 1
KEY_BYTES, SALT_BYTES, NONCE_BYTES, MARK_BYTES, TAG_BYTES = 32, 32, 12, 8, 16
HEAD_BYTES = 1 + 4 + MARK_BYTES
MAX_VERSION = 2**32 - 1
MAX_RING_BYTES = 64 * 1024

RING_VARIABLE = "KUBECUSTODY_KEY_RING"
RING_ENTRY = re.compile(r'(?:v([1-9][0-9]{0,9})\s*=\s*"([A-Za-z0-9+/=]+)"|current\s*=\s*([1-9][0-9]{0,9}))')


class KeyRingUnusable(OperatorError):
    """The key ring is missing, unsafe or malformed."""


class SealBroken(OperatorError):
    """A sealed value does not open: damaged, moved from another row, or sealed by another master key."""


class KeyVersionMissing(SealBroken):
    """The ring lacks the master key of the version that sealed a value."""


class MasterKeyWrong(SealBroken):
    """The ring has a key of the right version that is not the key that sealed."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Master keys by version; `current` seals, all of them open. Raises KeyRingUnusable if it is not whole."""

    keys: Mapping[int, bytes] = field(repr=False)
    current: int

    def __post_init__(self) -> None:
        if self.current not in self.keys:
            raise KeyRingUnusable(f"The key ring has no key v{self.current}, which it names as current.")
        for version, key in self.keys.items():
            if not 1 <= version <= MAX_VERSION or len(key) != KEY_BYTES:
                raise KeyRingUnusable(f"Key v{version} of the key ring is not {KEY_BYTES} bytes as base64.")
        object.__setattr__(self, "keys", MappingProxyType(dict(self.keys)))

    @classmethod
    def generate(cls, random_bytes: RandomBytes) -> "KeyRing":
        """A new ring with one key, v1."""
        return cls({1: random_bytes(KEY_BYTES)}, 1)

    def rotated(self, random_bytes: RandomBytes) -> "KeyRing":
        """This ring with one key more, which is now the current one."""
        version = max(self.keys) + 1
        return KeyRing({**self.keys, version: random_bytes(KEY_BYTES)}, version)

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """The ring that a text holds. Raises KeyRingUnusable, which names a line and never repeats it."""
        keys: dict[int, bytes] = {}
        current: int | None = None
        for number, entry in _entries(text):
            match = RING_ENTRY.fullmatch(entry)
            if match is None:
                raise KeyRingUnusable(f'Line {number} of the key ring is neither `v1 = "..."` nor `current = 1`.')
            version, encoded, named_current = match.groups()
            if named_current is not None:
                current = _only_once(current, int(named_current), number)
            else:
                keys[int(version)] = _only_once(keys.get(int(version)), _master_key(encoded, number), number)
        if current is None:
            raise KeyRingUnusable("The key ring does not say which key is current (`current = 1`).")
        return cls(keys, current)

    def format(self) -> str:
        """The text that `parse` reads."""
        lines = [f'v{version} = "{base64.b64encode(key).decode()}"' for version, key in sorted(self.keys.items())]
        return "\n".join([*lines, f"current = {self.current}", ""])

    def get_key(self, version: int) -> bytes:
        """The master key of a version. Raises KeyVersionMissing."""
        try:
            return self.keys[version]
        except KeyError:
            held = ", ".join(f"v{one}" for one in sorted(self.keys))
            raise KeyVersionMissing(
                f"A secret was sealed with master key v{version}, and the key ring holds only {held}: "
                "restore the key ring that has it."
            ) from None


def _entries(text: str) -> list[tuple[int, str]]:
    """Each entry with the number of its line; comments and empty lines are passed over."""
    lines = [(number, line.partition("#")[0]) for number, line in enumerate(text.splitlines(), 1)]
    entries = [(number, entry.strip()) for number, line in lines for entry in line.split(";")]
    return [(number, entry) for number, entry in entries if entry]


def _only_once(before: Value | None, now: Value, number: int) -> Value:
    if before is not None:
        raise KeyRingUnusable(f"Line {number} of the key ring says again what an earlier line says.")
    return now


def _master_key(encoded: str, number: int) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyRingUnusable(f"Line {number} of the key ring is not {KEY_BYTES} bytes as base64.")
    return key


# --- where the ring is kept ---------------------------------------------------------------------------------


def load_key_ring(path: Path | None, environment_text: str | None) -> KeyRing:
    """The ring of the environment variable if that has a text, else of the file. Raises KeyRingUnusable.

    There is no default: a ring made up at a start would lock away all that an earlier one sealed.
    """
    if environment_text:
        return KeyRing.parse(environment_text)
    if path is None:
        raise KeyRingUnusable(f"There is no key ring. {_how_to_mend()}")
    return KeyRing.parse(_read_private_file(path))


def write_key_ring(path: Path, ring: KeyRing, *, replace: bool = False) -> None:
    """Put the ring into a file of mode 0600, whole or not at all. Raises KeyRingUnusable.

    A file that is there already is kept unless `replace` is true: it may be the only key to the store.
    """
    try:
        _write_whole(path, ring.format().encode(), replace=replace)
    except FileExistsError:
        raise KeyRingUnusable(f"{path} is there already, and a key ring is never overwritten unasked.") from None
    except OSError as fault:
        raise KeyRingUnusable(f"The key ring cannot be written to {path}: {fault.strerror}.") from fault


def _write_whole(path: Path, content: bytes, *, replace: bool) -> None:
    # mkstemp makes the file with mode 0600 in the same folder; a link, unlike a rename, never overwrites.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".key-ring-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            Path(name).replace(path)
        else:
            path.hardlink_to(name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_private_file(path: Path) -> str:
    # Opened once and judged by its descriptor, so that nothing is swapped in between; O_NONBLOCK since opening
    # a pipe would wait for its writer.
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as fault:
        text = f"The key ring {path} cannot be read: {fault.strerror}. {_how_to_mend()}"
        raise KeyRingUnusable(text) from fault
    try:
        _refuse_unsafe(path, os.fstat(descriptor))
        content = os.read(descriptor, MAX_RING_BYTES)
    finally:
        os.close(descriptor)
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise KeyRingUnusable(f"{path} is no key ring: it is not plain text.") from None


def _refuse_unsafe(path: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_RING_BYTES:
        raise KeyRingUnusable(f"{path} is no key ring: wanted is a regular file of at most 64 KiB.")
    if sys.platform == "win32":
        return
    if facts.st_uid != os.geteuid():
        raise KeyRingUnusable(
            f"The key ring {path} belongs to user {facts.st_uid}, and this program runs as {os.geteuid()}: "
            f"give it the file with chown."
        )
    if facts.st_mode & 0o077:
        raise KeyRingUnusable(f"Others may read or change the key ring {path}: run `chmod 600 {path}`.")


def _how_to_mend() -> str:
    return (
        "`kubecustody init` made it: restore it from its backup, and name it by the setting key_ring_file or "
        f"give its text in {RING_VARIABLE}."
    )


# --- sealing ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sealer:
    """Seals and opens the secrets of one installation."""

    ring: KeyRing
    installation_id: str

    def seal(
        self,
        plain: bytes,
        *,
        table: str,
        column: str,
        account_id: str,
        row_id: int | str,
        random_bytes: RandomBytes = os.urandom,
    ) -> bytes:
        """The sealed form of `plain`, with the current master key, for one column of one row."""
        version = self.ring.current
        master, fresh = self.ring.get_key(version), random_bytes(SALT_BYTES + NONCE_BYTES)
        salt, nonce = fresh[:SALT_BYTES], fresh[SALT_BYTES:]
        head = bytes([FORMAT]) + version.to_bytes(4) + _mark(master)
        bound = _bound(self.installation_id, table, column, account_id, str(row_id), str(version))
        return head + salt + nonce + AESGCM(_row_key(master, salt)).encrypt(nonce, plain, bound)

    def open(self, sealed: bytes, *, table: str, column: str, account_id: str, row_id: int | str) -> bytes:
        """What was sealed for this very place. Raises SealBroken, KeyVersionMissing, MasterKeyWrong."""
        version = key_version_of(sealed)
        master = self.ring.get_key(version)
        if sealed[5:HEAD_BYTES] != _mark(master):
            raise MasterKeyWrong(
                f"Master key v{version} of the key ring is not the v{version} that sealed the secrets of this "
                "store: restore the key ring that belongs to it."
            )
        salt, rest = sealed[HEAD_BYTES : HEAD_BYTES + SALT_BYTES], sealed[HEAD_BYTES + SALT_BYTES :]
        bound = _bound(self.installation_id, table, column, account_id, str(row_id), str(version))
        try:
            return AESGCM(_row_key(master, salt)).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], bound)
        except InvalidTag:
            raise SealBroken(
                f"The sealed {table}.{column} of row {row_id} is damaged, or was sealed for another place."
            ) from None


def key_version_of(sealed: bytes) -> int:
    """The version of the master key that sealed a value. Raises SealBroken."""
    if len(sealed) < HEAD_BYTES + SALT_BYTES + NONCE_BYTES + TAG_BYTES or sealed[0] != FORMAT:
        raise SealBroken("A sealed value is cut off, or of a format that this program does not know.")
    return int.from_bytes(sealed[1:5])


@cache  # of the few keys of a ring, which are in memory anyway
def _mark(master: bytes) -> bytes:
    return _derive(master, b"", b"kubecustody master key mark", MARK_BYTES)


def _row_key(master: bytes, salt: bytes) -> bytes:
    return _derive(master, salt, b"kubecustody row key", KEY_BYTES)


def _derive(master: bytes, salt: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=purpose).derive(master)


def _bound(*parts: str) -> bytes:
    # Each part with its length, so that no two lists of parts give the same bytes.
    return b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
