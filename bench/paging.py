"""`python -m bench.paging`: pages of ListUserKubeConfigStates at 10^3 .. 10^6 clusters, and with dead credentials.

Each figure is the time of the use case (counted tree, range scans, derived states) in one snapshot of the store,
median of many, the sizes taking turns. The rival is what most people would write: COUNT(*), LIMIT/OFFSET, and the
credentials of the page, on the same store. The last line is one JSON object: ratio_last_page is the last page at the
largest size / the first page at the smallest; ratio_piled_up is a page with 1,000 dead credentials in each cluster /
the same with one; worker_megabytes is the largest resident memory of a worker that served pages of the largest size.
"""

import argparse
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.fleet import Fleet, fleet
from bench.hot_call import call_of
from bench.load import ask, build_requests
from bench.ours import serve_store
from bench.stores import BulkCredential, fill_store, prepare_store
from kubecustody.catalogue.states import ListUserKubeConfigStatesInput
from kubecustody.custody.authentication import Caller
from kubecustody.custody.kubeconfig_states import list_user_kubeconfig_states
from kubecustody.settings import Settings
from kubecustody.store.sqlite import SQLiteStore

PAGE_SIZE = 50
DAY = 86400


def main() -> None:
    """Run, print, and end with the line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--requests", type=int, default=3000, help="of the worker whose memory is measured")
    options = parser.parse_args()
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= options.largest]
    data = fleet(1, 1)
    with tempfile.TemporaryDirectory() as directory:
        stores = {size: make_sized(Path(directory) / str(size), data, size) for size in sizes}
        pages = measure_pages(stores, data, options.rounds, options.repeats)
        piled = measure_piled_up(Path(directory), data, options.rounds, options.repeats)
        megabytes = measure_worker(stores[sizes[-1]], data, sizes[-1], Path(directory), options.requests)
    print_table(pages, piled)
    first, last = pages[sizes[0]]["first"], pages[sizes[-1]]["last"]
    print(
        json.dumps(
            {
                "ratio_last_page": round(last / first, 3),
                "ratio_piled_up": round(piled[1000] / piled[1], 3),
                "worker_megabytes": megabytes,
                "ratio_offset": round(pages[sizes[-1]]["offset"] / last, 1),
                "clusters": sizes[-1],
                "microseconds": {
                    str(size): {name: round(us, 1) for name, us in row.items()} for size, row in pages.items()
                },
                "piled_up_microseconds": {str(dead): round(us, 1) for dead, us in piled.items()},
            }
        )
    )


def make_sized(directory: Path, data: Fleet, size: int) -> Settings:
    """A store with that many clusters; the user holds a credential in three of ten of them."""
    _say(f"filling {size:,} clusters")
    directory.mkdir()
    settings = prepare_store(directory, data)
    now = int(time.time())

    def credentials() -> Iterator[BulkCredential]:
        for seq in range(1, size + 1):
            if seq % 10 < 3:
                yield BulkCredential(seq, now - 100 * DAY, now + (seq % 7 - 2) * 30 * DAY)

    fill_store(settings, data, _clusters(size), credentials())
    return settings


def _clusters(size: int) -> Iterator[tuple[str, str, str]]:
    for number in range(size):
        yield f"c{number:032x}", f"payments-{number:07}", "running"


class Asker:
    """Asks one store for pages, as the server does for a request."""

    def __init__(self, settings: Settings, data: Fleet, size: int) -> None:
        self.store = SQLiteStore(settings.store_file)
        self.size = size
        self._plain = sqlite3.connect(settings.store_file)
        self._data = data
        self._caller = Caller(data.account_id, data.user_uid, "user", data.access_key_id, "local", 1, size, size)

    def page(self, number: int) -> None:
        """Ask for one page."""
        request = ListUserKubeConfigStatesInput(self._data.user_uid, number, PAGE_SIZE)
        now = time.time()
        read = self.store.read(lambda tx: list_user_kubeconfig_states(tx, self._caller, request, now))
        try:
            read.send(None)  # SQLite reads never yield
        except StopIteration as done:
            if len(done.value.states) != PAGE_SIZE:
                raise AssertionError(f"a page of {len(done.value.states)}") from None

    def page_by_offset(self, number: int) -> None:
        """The same page as most people would ask for it."""
        account, uid, offset = self._data.account_id, self._data.user_uid, (number - 1) * PAGE_SIZE
        self._plain.execute("SELECT COUNT(*) FROM clusters WHERE account_id = ?", (account,)).fetchone()
        rows = self._plain.execute(
            "SELECT seq, cluster_id, name, told_state FROM clusters WHERE account_id = ? ORDER BY seq LIMIT ? OFFSET ?",
            (account, PAGE_SIZE, offset),
        ).fetchall()
        marks = ",".join("?" * len(rows))
        self._plain.execute(
            f"SELECT cluster_seq, not_after, removed_at FROM credentials WHERE account_id = ? AND uid = ?"
            f" AND cluster_seq IN ({marks})",
            (account, uid, *(row[0] for row in rows)),
        ).fetchall()

    def close(self) -> None:
        """Close the store."""
        self.store.close()
        self._plain.close()


def measure_pages(stores: dict[int, Settings], data: Fleet, rounds: int, repeats: int) -> dict[int, dict[str, float]]:
    """Microseconds of the first and last page of each size, and of the last by OFFSET."""
    askers = {size: Asker(settings, data, size) for size, settings in stores.items()}
    times: dict[int, dict[str, list[float]]] = {size: {"first": [], "last": [], "offset": []} for size in stores}
    for round_number in range(rounds):
        _say(f"pages, round {round_number + 1} of {rounds}")
        for size, asker in askers.items():
            last = size // PAGE_SIZE
            times[size]["first"] += timed(lambda asker=asker: asker.page(1), repeats)
            times[size]["last"] += timed(lambda asker=asker, last=last: asker.page(last), repeats)
            few = max(1, min(repeats, 20_000 // size))
            times[size]["offset"] += timed(lambda asker=asker, last=last: asker.page_by_offset(last), few)
    for asker in askers.values():
        asker.close()
    return {size: {name: statistics.median(each) for name, each in row.items()} for size, row in times.items()}


def measure_piled_up(directory: Path, data: Fleet, rounds: int, repeats: int) -> dict[int, float]:
    """Microseconds of a page with 1 and with 1,000 dead credentials of the user in each of its clusters."""
    now = int(time.time())

    def credentials(dead: int) -> Iterator[BulkCredential]:
        for seq in range(1, PAGE_SIZE + 1):
            for number in range(dead):
                ends = now - DAY - number
                yield BulkCredential(seq, ends - DAY, ends, ends if number % 2 else None)

    askers = {}
    for dead in (1, 1000):
        _say(f"filling {dead:,} dead credentials in each cluster of a page")
        folder = directory / f"dead-{dead}"
        folder.mkdir()
        settings = prepare_store(folder, data)
        fill_store(settings, data, _clusters(PAGE_SIZE), credentials(dead))
        askers[dead] = Asker(settings, data, PAGE_SIZE)
    times: dict[int, list[float]] = {dead: [] for dead in askers}
    for _ in range(rounds):
        for dead, asker in askers.items():
            times[dead] += timed(lambda asker=asker: asker.page(1), repeats)
    for asker in askers.values():
        asker.close()
    return {dead: statistics.median(each) for dead, each in times.items()}


def measure_worker(settings: Settings, data: Fleet, size: int, directory: Path, requests: int) -> float:
    """The largest resident memory, in 10^6 bytes, of a worker after signed calls over the whole depth."""
    _say(f"serving {requests:,} signed calls over {size:,} clusters")
    with serve_store(settings, directory) as server:
        last = size // PAGE_SIZE
        for number in range(requests):
            page = 1 + number * (last - 1) // max(1, requests - 1)
            (request,) = build_requests(1, call_of(data, page, PAGE_SIZE), server)
            answer = ask(server, request)
            if answer.status != 200:
                raise AssertionError(f"page {page}: {answer.status} {answer.body[:200]!r}")
        status = Path(f"/proc/{server.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return round(int(line.split()[1]) * 1024 / 1e6, 1)


def timed(work: Callable[[], Any], repeats: int) -> list[float]:
    """Microseconds of each of `repeats` runs, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter_ns()
        work()
        times.append((time.perf_counter_ns() - started) / 1000)
    return times


def print_table(pages: dict[int, dict[str, float]], piled: dict[int, float]) -> None:
    """The medians in microseconds."""
    print(f"{'clusters':>12}{'first page us':>16}{'last page us':>16}{'last by OFFSET us':>20}")
    for size, row in pages.items():
        print(f"{size:>12,}{row['first']:>16,.0f}{row['last']:>16,.0f}{row['offset']:>20,.0f}")
    for dead, us in piled.items():
        print(f"a page with {dead:,} dead credentials in each cluster: {us:,.0f} us")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
