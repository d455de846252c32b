"""A nonce is taken once: by one process or several, across restarts, kills and losses."""

import fcntl
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubecustody.core.errors import OperatorError
from kubecustody.store.nonces import GRACE_SECONDS, NonceTable, Verdict

NOW = 1_795_521_600
SOON = NOW + 900
SPAWN = multiprocessing.get_context("spawn")
ONE_BUCKET = 255


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nonces"


@pytest.fixture
def table(path: Path) -> Iterator[NonceTable]:
    with NonceTable.open(path, now=NOW, slots=4 * ONE_BUCKET) as table:
        yield table


def spend(table: NonceTable, nonce: str = "n", *, expires_at: int = SOON, now: float = NOW) -> Verdict:
    return table.spend("1", "AK", nonce, expires_at, now)


def spend_in_new_table(path: Path, *, boot_id: str, now: float = NOW, slots: int = ONE_BUCKET) -> Verdict:
    with NonceTable.open(path, now=now, slots=slots, boot_id=boot_id) as table:
        return spend(table, now=now)


# --- one process ---------------------------------------------------------------------------------------


def test_nonce_is_new_once(table: NonceTable) -> None:
    assert [spend(table), spend(table), spend(table)] == [Verdict.NEW, Verdict.USED, Verdict.USED]


def test_nonce_is_its_own_for_each_account_and_key(table: NonceTable) -> None:
    parts = [("1", "AK", "n"), ("2", "AK", "n"), ("1", "BK", "n"), ("1", "A", "Kn"), ("1A", "K", "n")]

    assert {table.spend(*part, SOON, NOW) for part in parts} == {Verdict.NEW}
    assert {table.spend(*part, SOON, NOW) for part in parts} == {Verdict.USED}


@settings(deadline=None, max_examples=200)
@given(parts=st.sets(st.tuples(*[st.text("1:A2n", max_size=5)] * 3), min_size=2, max_size=2))
def test_no_two_triples_run_together(
    parts: set[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with NonceTable.open(tmp_path_factory.mktemp("t") / "nonces", now=NOW, slots=ONE_BUCKET) as table:
        assert [table.spend(*part, SOON, NOW) for part in parts] == [Verdict.NEW, Verdict.NEW]


def test_nonce_of_any_text_is_taken(table: NonceTable) -> None:
    assert spend(table, "\xff\x00漢") is Verdict.NEW
    assert spend(table, "\xff\x00漢") is Verdict.USED


def test_nonce_counts_until_its_expiry_and_a_little_longer(table: NonceTable) -> None:
    spend(table)

    assert spend(table, now=SOON + GRACE_SECONDS) is Verdict.USED
    assert spend(table, now=SOON + GRACE_SECONDS + 0.5, expires_at=SOON + 1800) is Verdict.NEW
    assert spend(table, now=SOON + GRACE_SECONDS + 0.5, expires_at=SOON + 1800) is Verdict.USED


def test_full_bucket_refuses_and_forgets_nothing(path: Path) -> None:
    with NonceTable.open(path, now=NOW, slots=ONE_BUCKET) as table:
        taken = [str(number) for number in range(ONE_BUCKET)]

        assert {spend(table, nonce) for nonce in taken} == {Verdict.NEW}
        assert spend(table, "one more") is Verdict.FULL
        assert {spend(table, nonce) for nonce in taken} == {Verdict.USED}
        assert spend(table, "one more") is Verdict.FULL


def test_expired_slot_is_used_again_wherever_it_is(path: Path) -> None:
    with NonceTable.open(path, now=NOW, slots=ONE_BUCKET) as table:
        for number in range(ONE_BUCKET):
            spend(table, str(number), expires_at=NOW - 100 if number in {7, 200} else SOON)

        assert [spend(table, nonce) for nonce in "abc"] == [Verdict.NEW, Verdict.NEW, Verdict.FULL]
        assert spend(table, "6") is Verdict.USED
        assert spend(table, "a") is Verdict.USED


def test_whole_table_can_be_filled_again_after_its_nonces_expired(path: Path) -> None:
    later = SOON + GRACE_SECONDS + 1
    with NonceTable.open(path, now=NOW, slots=ONE_BUCKET) as table:
        for number in range(ONE_BUCKET):
            spend(table, str(number))

        verdicts = {spend(table, str(n), expires_at=later + 900, now=later) for n in range(ONE_BUCKET)}

    assert verdicts == {Verdict.NEW}


def test_threads_of_one_process_take_a_nonce_once(table: NonceTable) -> None:
    verdicts: list[Verdict] = []

    def work() -> None:
        verdicts.extend([spend(table, str(number)) for number in range(400)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert verdicts.count(Verdict.NEW) == 400
    assert verdicts.count(Verdict.USED) == 1200


SPEND_IN_EVERY_BUCKET = """
import sys
from pathlib import Path
from kubecustody.store.nonces import NonceTable
with NonceTable.open(Path(sys.argv[1]), now=0.0) as table:
    for number in range(30_000):
        table.spend("1", "AK", str(number), 2_000_000_000, 1_900_000_000)
"""


def test_no_search_reads_beyond_the_table(path: Path) -> None:
    """Python 3.11.0 to 3.11.4 died of `mmap.find` in the last bucket, where no mapped page follows."""
    subprocess.run([sys.executable, "-c", SPEND_IN_EVERY_BUCKET, str(path)], check=True, timeout=60)


def test_closed_table_spends_nothing(path: Path) -> None:
    table = NonceTable.open(path, now=NOW, slots=ONE_BUCKET)
    table.close()
    table.close()

    with pytest.raises(ValueError, match="file descriptor"):
        spend(table)


# --- several processes ---------------------------------------------------------------------------------


def wait_for_the_others(barrier: Barrier) -> None:
    barrier.wait(60)


def spend_all(path: Path) -> list[bool]:
    with NonceTable.open(path, now=NOW, slots=2**14) as table:
        return [spend(table, str(number)) is Verdict.NEW for number in range(2000)]


def test_four_processes_take_each_nonce_exactly_once(path: Path) -> None:
    """They open the file at once too, so that one of them makes it and the others find it."""
    together = (SPAWN.Barrier(4),)
    with ProcessPoolExecutor(4, SPAWN, wait_for_the_others, together) as pool:
        answers = list(pool.map(spend_all, [path] * 4))

    assert {sum(column) for column in zip(*answers, strict=True)} == {1}


def hold_every_bucket(path: Path, say: Connection) -> None:
    fd = os.open(path, os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX, 0, 4096)
    say.send("held")
    signal.pause()


def test_lock_of_a_killed_process_is_released(path: Path, table: NonceTable) -> None:
    hear, say = SPAWN.Pipe(duplex=False)
    holder = SPAWN.Process(target=hold_every_bucket, args=(path, say), daemon=True)
    holder.start()
    assert hear.recv() == "held"
    verdicts: list[Verdict] = []
    waiter = threading.Thread(target=lambda: verdicts.append(spend(table)))
    waiter.start()
    waiter.join(0.3)
    assert verdicts == []

    holder.kill()
    holder.join()
    waiter.join(10)

    assert verdicts == [Verdict.NEW]


def spend_and_wait(path: Path, boot_id: str, say: Connection) -> None:
    table = NonceTable.open(path, now=NOW, slots=ONE_BUCKET, boot_id=boot_id)
    spend(table)
    say.send(table.refuse_before)
    signal.pause()


class Worker:
    """A process that spent the nonce and has the table open until it is killed."""

    def __init__(self, path: Path, boot_id: str) -> None:
        hear, say = SPAWN.Pipe(duplex=False)
        self.process = SPAWN.Process(target=spend_and_wait, args=(path, boot_id, say), daemon=True)
        self.process.start()
        assert hear.recv() == NOW

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


def test_killed_process_loses_nothing_while_the_machine_runs(path: Path) -> None:
    Worker(path, "boot-1").kill()

    with NonceTable.open(path, now=NOW + 50, slots=ONE_BUCKET, boot_id="boot-1") as table:
        assert table.refuse_before == NOW
        assert spend(table) is Verdict.USED


def test_table_in_use_is_shared_where_the_boot_is_not_known(path: Path) -> None:
    with Worker(path, ""):
        assert spend_in_new_table(path, boot_id="") is Verdict.USED


def test_one_of_two_processes_that_closes_does_not_speak_for_the_other(path: Path) -> None:
    with Worker(path, "boot-1"):
        NonceTable.open(path, now=NOW, slots=ONE_BUCKET, boot_id="boot-1").close()

    with NonceTable.open(path, now=NOW + 50, slots=ONE_BUCKET, boot_id="boot-2") as table:
        assert table.refuse_before == NOW + 50


def test_table_in_use_is_not_replaced_by_one_of_another_size(path: Path) -> None:
    with Worker(path, "boot-1"), pytest.raises(OperatorError, match="in use"):
        NonceTable.open(path, now=NOW, slots=2 * ONE_BUCKET, boot_id="boot-1")


# --- restarts and losses -------------------------------------------------------------------------------


def test_nonce_stays_spent_across_a_restart(path: Path) -> None:
    assert spend_in_new_table(path, boot_id="boot-1") is Verdict.NEW
    assert spend_in_new_table(path, boot_id="boot-1") is Verdict.USED


@pytest.mark.parametrize("boot_id", ["boot-2", ""])
def test_table_closed_cleanly_outlives_the_machine(path: Path, boot_id: str) -> None:
    spend_in_new_table(path, boot_id="boot-1")

    assert spend_in_new_table(path, boot_id=boot_id) is Verdict.USED


@pytest.mark.parametrize(("now", "refuse_before"), [(NOW, NOW), (NOW + 0.2, NOW + 1)])
def test_new_table_refuses_what_was_signed_before_it(path: Path, now: float, refuse_before: int) -> None:
    with NonceTable.open(path, now=now, slots=ONE_BUCKET) as table:
        assert table.refuse_before == refuse_before


def test_what_a_new_table_refuses_is_known_to_all_who_open_it_later(path: Path) -> None:
    NonceTable.open(path, now=NOW, slots=ONE_BUCKET).close()

    with NonceTable.open(path, now=NOW + 600, slots=ONE_BUCKET) as table:
        assert table.refuse_before == NOW


@pytest.mark.parametrize(("before", "after"), [("boot-1", "boot-2"), ("", ""), ("boot-1", ""), ("", "boot-2")])
def test_table_not_closed_before_another_boot_is_lost(path: Path, before: str, after: str) -> None:
    Worker(path, before).kill()

    with NonceTable.open(path, now=NOW + 100, slots=ONE_BUCKET, boot_id=after) as table:
        assert table.refuse_before == NOW + 100
        assert spend(table) is Verdict.NEW


def overwrite(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"\0"),
        lambda path: overwrite(path, 0, b"other"),
        lambda path: overwrite(path, 8, struct.pack("<I", 99)),
        lambda path: overwrite(path, 20, b"\0\0\0\0"),
    ],
    ids=["removed", "emptied", "cut", "longer", "foreign", "other format", "key damaged"],
)
def test_damaged_table_starts_empty_and_says_so(path: Path, damage: Callable[[Path], object]) -> None:
    spend_in_new_table(path, boot_id="boot-1")
    damage(path)

    with NonceTable.open(path, now=NOW + 100, slots=ONE_BUCKET, boot_id="boot-1") as table:
        assert table.refuse_before == NOW + 100
        assert spend(table) is Verdict.NEW


def test_table_of_another_size_is_made_anew(path: Path) -> None:
    spend_in_new_table(path, boot_id="boot-1")

    with NonceTable.open(path, now=NOW + 100, slots=2 * ONE_BUCKET, boot_id="boot-1") as table:
        assert table.refuse_before == NOW + 100


def test_two_tables_spell_a_nonce_differently(tmp_path: Path) -> None:
    """The digest is keyed, so that nobody outside can choose nonces that meet in one bucket."""
    contents = []
    for name in ("a", "b"):
        spend_in_new_table(tmp_path / name, boot_id="boot-1")
        contents.append((tmp_path / name).read_bytes()[4096:])

    assert contents[0] != contents[1]


# --- the file ------------------------------------------------------------------------------------------


def test_file_is_for_its_owner_alone(path: Path, table: NonceTable) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["nonces"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_file_open_to_others_is_refused_with_advice(path: Path, mode: int) -> None:
    spend_in_new_table(path, boot_id="boot-1")
    path.chmod(mode)

    with pytest.raises(OperatorError, match="chmod 600"):
        spend_in_new_table(path, boot_id="boot-1")


def test_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one thing pretended: changing an owner needs root."""
    spend_in_new_table(path, boot_id="boot-1")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)

    with pytest.raises(OperatorError, match="belongs to user"):
        spend_in_new_table(path, boot_id="boot-1")


def test_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OperatorError, match="cannot be opened"):
        spend_in_new_table(path, boot_id="boot-1")
    assert not (tmp_path / "elsewhere").exists()


def test_missing_directory_is_told_to_the_operator(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="local disk"):
        spend_in_new_table(tmp_path / "none" / "nonces", boot_id="boot-1")


def test_unused_slots_take_no_memory(path: Path) -> None:
    def resident_kib() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("RssShmem:")[2].split()[0]) + int(status.partition("RssFile:")[2].split()[0])

    before = resident_kib()
    with NonceTable.open(path, now=NOW, slots=2**22) as table:
        spend(table)
        grown = resident_kib() - before

    assert grown < 4096  # of 65,800 KiB
