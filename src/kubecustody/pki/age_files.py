"""Files encrypted to somebody: the age format (https://age-encryption.org/v1, read 2026-11-24), by pyrage.

`age -d` opens what is written here, and what `age` wrote opens here.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import pyrage

from kubecustody.core.errors import OperatorError

# age encrypts to a passphrase in memory alone.
LARGEST_WITH_PASSPHRASE = 512 * 1024 * 1024
SHORTEST_PASSPHRASE = 12
_LARGEST_STATED = 64  # letters of a wrong key that an error shows


class Recipients(NamedTuple):
    """To whom a file is encrypted: public keys (`age1...`, `ssh-ed25519 ...`), or a passphrase."""

    public_keys: tuple[str, ...] = ()
    passphrase: str | None = None

    def __repr__(self) -> str:
        return f"Recipients({len(self.public_keys)} public keys, passphrase not shown)"


class Opener(NamedTuple):
    """What opens a file: the text of an identity file (age or OpenSSH), or the passphrase."""

    identity: str | None = None
    passphrase: str | None = None

    def __repr__(self) -> str:
        return "Opener(not shown)"


def check_recipients(recipients: Recipients) -> None:
    """Raise OperatorError unless a file can be encrypted to these."""
    if bool(recipients.public_keys) == (recipients.passphrase is not None):
        raise OperatorError("Say to whom to encrypt: --recipient PUBLIC_KEY, or --passphrase-file FILE.")
    _load_public_keys(recipients.public_keys)
    if recipients.passphrase is not None and len(recipients.passphrase) < SHORTEST_PASSPHRASE:
        raise OperatorError(
            f"The passphrase has {len(recipients.passphrase)} letters; it needs {SHORTEST_PASSPHRASE} at least."
        )


def encrypt_file(plain: Path, target: BinaryIO, recipients: Recipients) -> None:
    """Write the content of a file, encrypted. Raises OperatorError."""
    check_recipients(recipients)
    with plain.open("rb") as source:
        if recipients.passphrase is None:
            pyrage.encrypt_io(source, target, _load_public_keys(recipients.public_keys))
        elif os.fstat(source.fileno()).st_size > LARGEST_WITH_PASSPHRASE:
            raise OperatorError(f"{plain.name} is too large for a passphrase. Use --recipient PUBLIC_KEY.")
        else:
            target.write(pyrage.passphrase.encrypt(source.read(), recipients.passphrase))


def decrypt_file(path: Path, target: BinaryIO, opener: Opener) -> None:
    """Write what an encrypted file holds. Raises OperatorError."""
    try:
        with path.open("rb") as source:
            if opener.passphrase is None:
                pyrage.decrypt_io(source, target, _load_identities(opener.identity))
            elif os.fstat(source.fileno()).st_size > 2 * LARGEST_WITH_PASSPHRASE:
                raise OperatorError(f"{path} is too large to have been encrypted with a passphrase.")
            else:
                target.write(pyrage.passphrase.decrypt(source.read(), opener.passphrase))
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror or error}.") from error
    except pyrage.DecryptError as error:
        raise OperatorError(
            f"{path} does not open: it is no encrypted file, is damaged, or is for another key or passphrase ({error})."
        ) from error


def _load_public_keys(texts: Sequence[str]) -> list[Any]:
    return [_load_public_key(text.strip()) for text in texts]


def _load_public_key(text: str) -> Any:
    kind = pyrage.ssh.Recipient if text.startswith("ssh-") else pyrage.x25519.Recipient
    try:
        return kind.from_str(text)
    except pyrage.RecipientError as error:
        raise OperatorError(
            f"{text[:_LARGEST_STATED]!r} is no public key to encrypt to: wanted is `age1...` (`age-keygen` makes one) "
            "or a line of an OpenSSH .pub file (ssh-ed25519 or ssh-rsa)."
        ) from error


def _load_identities(text: str | None) -> list[Any]:
    if text is None:
        raise OperatorError("Say what opens the file: --identity FILE, or --passphrase-file FILE.")
    try:
        if "-----BEGIN" in text:
            return [pyrage.ssh.Identity.from_buffer(text.encode())]
        lines = [line.strip() for line in text.splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except pyrage.IdentityError as error:
        raise OperatorError(
            "The identity file holds neither an age identity (AGE-SECRET-KEY-1...) nor an OpenSSH private key."
        ) from error
    if not found:
        raise OperatorError("The identity file is empty.")
    return found
