"""Limits on how often something may happen, per key, in a memory that a flood of keys cannot grow."""

from collections import Counter, OrderedDict
from heapq import heapify, heappop, heappush, heapreplace
from math import ceil

# Less than a clock tells apart. Without it, who waits exactly as long as told may come a rounding too early.
_TOLERANCE_SECONDS = 1e-9


class TokenBuckets:
    """One bucket of tokens per key: `burst` tokens at first and at most, `rate_per_second` new ones.

    Of each key only the moment is kept at which its bucket is full again (the same rule is known as the
    generic cell rate algorithm). A key that is not kept has a full bucket, and so dropping one whose moment
    has passed forgets nothing: these go first when `capacity` keys are kept and one more comes; where there
    are none, the least recently used goes. `now` is in seconds of a clock that never goes back.
    A rate of 0 sets no limit.
    """

    def __init__(self, rate_per_second: float, burst: int, capacity: int) -> None:
        if rate_per_second < 0 or burst < 1 or capacity < 1:
            raise ValueError("a limit needs a rate of at least 0, and burst and capacity of at least 1")
        self._interval = 1 / rate_per_second if rate_per_second else 0.0
        self._slack = (burst - 1) * self._interval + _TOLERANCE_SECONDS
        self._capacity = capacity
        self._full_at: OrderedDict[str, float] = OrderedDict()  # least recently used first
        # At least one entry per key, never later than the key's own moment; brought up to date when popped.
        self._queue: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float) -> int:
        """0 when a token was there and is taken, else the milliseconds until there is one."""
        interval = self._interval
        if not interval:
            return 0
        full_at = self._full_at.get(key)
        if full_at is None:
            self._make_room(now)
            self._full_at[key] = now + interval
            heappush(self._queue, (now + interval, key))
            return 0
        self._full_at.move_to_end(key)  # also a refused key is in use
        if full_at < now:
            full_at = now
        wait = full_at - now - self._slack
        if wait > 0:
            return ceil(wait * 1000)
        self._full_at[key] = full_at + interval
        return 0

    def peek(self, key: str, now: float) -> int:
        """What `take` would answer; nothing is taken, and the key does not count as used."""
        wait = self._full_at.get(key, now) - now - self._slack
        return ceil(wait * 1000) if wait > 0 else 0

    def _make_room(self, now: float) -> None:
        """Leaves room for one key. Cheap on average: an entry moves only where its key was used since."""
        if len(self._full_at) < self._capacity:
            return
        while self._queue and self._queue[0][0] <= now:
            key = self._queue[0][1]
            full_at = self._full_at.get(key)
            if full_at is not None and full_at > now:
                heapreplace(self._queue, (full_at, key))
                continue
            heappop(self._queue)
            if full_at is not None:
                del self._full_at[key]
                return
        self._full_at.popitem(last=False)
        if len(self._queue) > 2 * self._capacity:  # entries of keys dropped before their moment
            self._queue = [(full_at, key) for key, full_at in self._full_at.items()]
            heapify(self._queue)


class Slots:
    """How many may be at something at once: at most so many of one kind, and of all together."""

    def __init__(self, each: int, total: int) -> None:
        self._each, self._total = each, total
        self._taken: Counter[str] = Counter()

    def take(self, kind: str) -> bool:
        """Whether there was a slot, which then is taken until it is given back."""
        if self._taken[kind] >= self._each or self._taken.total() >= self._total:
            return False
        self._taken[kind] += 1
        return True

    def give_back(self, kind: str) -> None:
        """Let somebody else have the slot."""
        self._taken[kind] -= 1
        if not self._taken[kind]:
            del self._taken[kind]
