"""Files that a command is given: read whole, within a bound, and refused with one text."""

from pathlib import Path

from kubecustody.core.errors import OperatorError

_MIB = 2**20


def read_bytes(path: Path, at_most: int, *, what: str = "", cure: str = "") -> bytes:
    """The content of a file of at most so many bytes. Raises OperatorError.

    what: whose file it is, and cure: what to do about one that is larger, for the message.
    """
    named = _name(path, what)
    try:
        with path.open("rb") as stream:
            content = stream.read(at_most + 1)
    except OSError as error:
        raise OperatorError(f"{named} cannot be read: {error.strerror}.") from None
    if len(content) > at_most:
        bound = f"{at_most} bytes" if at_most % _MIB else f"{at_most // _MIB} MiB"
        raise OperatorError(f"{named} is larger than {bound}.{f' {cure}' if cure else ''}")
    return content


def read_text(path: Path, at_most: int, *, what: str = "", cure: str = "") -> str:
    """The same of a file in UTF-8, with or without a byte order mark."""
    try:
        return read_bytes(path, at_most, what=what, cure=cure).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OperatorError(f"{_name(path, what)} is not UTF-8 at byte {error.start}.") from None


def _name(path: Path, what: str) -> str:
    return f"The file of {what}, {path}," if what else str(path)
