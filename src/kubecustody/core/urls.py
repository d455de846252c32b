"""URLs: their parts, the same ones with every Python."""

import re
from urllib.parse import SplitResult, urlsplit

_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*:[^\[\]]*\]|[^\[\]:]*)(:[0-9]*)?")


def split_url(text: str) -> SplitResult:
    """The parts of a URL. ValueError where its host or port is none.

    `urlsplit` of older Pythons takes https://[::1]beside for ::1 (https://github.com/python/cpython/issues/105704),
    and https://[name] for name (https://github.com/python/cpython/issues/103848).
    """
    parts = urlsplit(text)
    if not _HOST_AND_PORT.fullmatch(parts.netloc.rpartition("@")[2]):
        raise ValueError(f"{parts.netloc!r} is no host with a port")
    _ = parts.port
    return parts
