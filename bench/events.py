"""`python -m bench.events`: pages of ListEvents, from the newest to the oldest of 10^7 events.

Each figure is the time of the use case in one snapshot of the store, median of many, the places taking turns: the
first page, one in the middle and the last, of all events, of one person, of one kind, and before a moment. No figure
counts unless each page is full and right. The last line is one JSON object: ratio_last_page is the last page / the
first one, the worst of those ways.
"""

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.fleet import Fleet, fleet
from bench.paging import timed
from bench.stores import prepare_store
from kubecustody.catalogue.events import ListEventsInput, ListEventsOutput
from kubecustody.custody.authentication import Caller
from kubecustody.custody.events import list_events
from kubecustody.settings import Settings
from kubecustody.store.sqlite import SQLiteStore

PAGE_SIZE = 50
KINDS = ("private_key_disclosed", "credential_issued", "removal_requested", "access_key_created")
_AT_ONCE = 200_000


def main() -> None:
    """Run, print, and end with the line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=int(os.environ.get("KUBECUSTODY_SIZE", 10_000_000)))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    data = fleet(1, 1)
    with tempfile.TemporaryDirectory() as directory:
        settings = prepare_store(Path(directory), data)
        started = time.perf_counter()
        fill_events(settings, data, options.events)
        filled = time.perf_counter() - started
        times = measure(settings, data, options.events, options.rounds, options.repeats)
        megabytes = settings.store_file.stat().st_size / 1e6
    print(f"{'of':<12}{'first page us':>16}{'middle us':>16}{'last page us':>16}")
    for way, row in times.items():
        print(f"{way:<12}" + "".join(f"{row[place]:>16,.0f}" for place in ("first", "middle", "last")))
    ratios = {way: round(row["last"] / row["first"], 3) for way, row in times.items()}
    told = {
        "ratio_last_page": max(ratios.values()),
        "ratios": ratios,
        "events": options.events,
        "fill_seconds": round(filled, 1),
        "store_megabytes": round(megabytes),
        "microseconds": {way: {place: round(us, 1) for place, us in row.items()} for way, row in times.items()},
    }
    print(json.dumps(told))


def fill_events(settings: Settings, data: Fleet, count: int) -> None:
    """Add events behind those that are there, a tenth of a second apart: as a busy account leaves them, unsealed.

    Indexes are made when the rows are there, which takes a fraction of the time.
    """
    connection = sqlite3.connect(settings.store_file, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA cache_size = -500000")
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'events' AND sql IS NOT NULL"
    indexes = connection.execute(sql).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    (before,) = connection.execute(
        "SELECT last_event_no FROM accounts WHERE account_id = ?", (data.account_id,)
    ).fetchone()
    for first in range(before + 1, before + count + 1, _AT_ONCE):
        _say(f"{first - before - 1:,} of {count:,} events")
        rows = _rows(data, first, min(first + _AT_ONCE, before + count + 1), before + count)
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO events VALUES ({', '.join('?' * 12)})", rows)
        connection.execute("COMMIT")
    for name, text in indexes:
        _say(f"index {name}")
        connection.execute(text)
    connection.execute("UPDATE accounts SET last_event_no = ? WHERE account_id = ?", (before + count, data.account_id))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _rows(data: Fleet, first: int, last: int, newest: int) -> Iterator[tuple[object, ...]]:
    now = int(time.time() * 1000)
    for number in range(first, last):
        at = now - 100 * (newest - number)
        uid = data.user_uid if number % 2 else f"2{number % 997:017}"
        subject = f"credential/{number * 0x9E3779B97F4A7C15 % 2**256:064x}"
        yield (
            *(data.account_id, number, at, at // 1000, KINDS[number % 4], "acs:ram::1000000000000001:user/2", ""),
            *(uid, 0, subject, "", '{"temporary_minutes":60}'),
        )


class Asker:
    """Asks the store for pages, as the server does for a request."""

    def __init__(self, settings: Settings, data: Fleet) -> None:
        self.store = SQLiteStore(settings.store_file)
        self._caller = Caller(data.account_id, data.user_uid, "user", data.access_key_id, "local", 1, 0, 0)

    def page(self, request: ListEventsInput) -> ListEventsOutput:
        """One page."""
        read = self.store.read(lambda tx: list_events(tx, self._caller, request, time.time()))
        try:
            read.send(None)  # SQLite reads never yield
        except StopIteration as done:
            answer: ListEventsOutput = done.value
            return answer
        raise AssertionError("a read that waits")


def measure(settings: Settings, data: Fleet, count: int, rounds: int, repeats: int) -> dict[str, dict[str, float]]:
    """Microseconds of a page by way and place."""
    asker = Asker(settings, data)
    newest = asker.page(ListEventsInput(max_results=1)).events[0].event_no
    ways: Mapping[str, Mapping[str, str]] = {
        "all": {},
        "person": {"uid": data.user_uid},
        "kind": {"kind": KINDS[1]},
    }
    lasts = {"first": newest + 1, "middle": newest - count // 2, "last": newest - count + PAGE_SIZE * 10}
    asked: dict[str, dict[str, Callable[[], object]]] = {
        way: {
            place: _checked(asker, ListEventsInput(next_token=str(token), max_results=PAGE_SIZE, **filters))
            for place, token in lasts.items()
        }
        for way, filters in ways.items()
    }
    asked["time"] = {
        place: _checked(asker, ListEventsInput(end_time=_time_before(asker, token), max_results=PAGE_SIZE))
        for place, token in lasts.items()
    }
    times: dict[str, dict[str, list[float]]] = {way: {place: [] for place in lasts} for way in asked}
    for number in range(rounds):
        _say(f"round {number + 1} of {rounds}")
        for way, places in asked.items():
            for place, ask in places.items():
                times[way][place] += timed(ask, repeats)
    asker.store.close()
    return {way: {place: statistics.median(each) for place, each in row.items()} for way, row in times.items()}


def _time_before(asker: Asker, token: int) -> str:
    (event,) = asker.page(ListEventsInput(next_token=str(token), max_results=1)).events
    return event.recorded_at


def _checked(asker: Asker, request: ListEventsInput) -> Callable[[], object]:
    """What asks for this page. AssertionError unless the page is full and right."""
    events = asker.page(request).events
    numbers = [one.event_no for one in events]
    right = (
        len(numbers) == PAGE_SIZE
        and numbers == sorted(numbers, reverse=True)
        and all(request.uid in ("", one.uid) and request.kind in ("", one.kind) for one in events)
    )
    if not right:
        raise AssertionError(f"{request}: {numbers}")
    return lambda: asker.page(request)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
