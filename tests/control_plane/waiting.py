"""Waiting for what a cluster does a moment later."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], *, seconds: float = 20) -> T:
    """The first answer of `look` that is true. Fails with the last one when the time is over."""
    ends = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < ends, f"not within {seconds} s; seen last: {seen!r}"
        time.sleep(0.05)
    return seen
