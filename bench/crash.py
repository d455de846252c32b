"""`python -m bench.crash`: a server and an operator's commands, at work on one store, are killed again and again.

The server is the real one, called over HTTP, every request signed: people get kubeconfigs, get them again, revoke
theirs, and are cleaned by the account. Beside it a process does what commands do: clusters, people, policies, imports,
attestations. At a random moment both get SIGKILL. The ledger of what was acknowledged is kept by the clients' process,
which nobody kills. After each kill the store is opened again: what the ledger says must be there, and what is there
must be whole (the books of the tests: integrity, chain of events, counts, holdings; and each event with its rows).

The last line is one JSON object: `kills`; `lost`, how much of what was acknowledged is not there; `broken`, after how
many kills something was not whole; `acknowledged`, how many changes were; `cut_off`, how many calls were on their way.
A kill leaves the operating system alive: it says nothing of a power cut, for which each commit is synced.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import re
import ssl
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

# What must hold of any store is written down once, in the tests.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from bench.servers import HOST, free_port
from custody.books import ask, check_books
from kubecustody.catalogue.policies import FULL_ACCESS
from kubecustody.cli.initialise import initialise
from kubecustody.core.errors import ServiceUnavailable
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.changes import Author
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.imports import import_credentials
from kubecustody.custody.installation import Custody, open_custody
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.custody.removals import Selection, attest_removal
from kubecustody.custody.signers import import_signer
from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.pki.issuing import PemPair, make_ca, make_client_certificate
from kubecustody.server.running import serve
from kubecustody.settings import Settings, load_settings
from kubecustody.signing.acs3 import sign_request

KILLS_A_STORE = 50
LONGEST_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 0.01
START_SECONDS = 30.0
PERSONS = 6
AUTHOR = Author("bench", reason="bench")
YEAR = 365 * 86_400

# Children are forked from a server that has the program loaded, so that each lives for its work alone.
FORKSERVER = multiprocessing.get_context("forkserver")
_LOADED = ["kubecustody.cli.initialise", "kubecustody.server.running", "kubecustody.server.application"]
_LOADED += [f"kubecustody.custody.{name}" for name in ("issuing", "cleaning", "imports", "removals", "signers")]
_HANGS_UP = (EOFError, ConnectionError, OSError)


def main() -> None:
    """Run, print, and end with the line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    ledgers, dice = [], random.Random(options.seed)
    for first in range(0, options.kills, KILLS_A_STORE):
        with tempfile.TemporaryDirectory() as directory:
            ledgers.append(kill_again_and_again(Path(directory), min(KILLS_A_STORE, options.kills - first), dice))
        print(f"{first + ledgers[-1].kills} kills: {ledgers[-1]}", flush=True)
    told = summary(ledgers)
    print(json.dumps(told))
    sys.exit(1 if told["lost"] or told["broken"] else 0)


def summary(ledgers: list["Ledger"]) -> dict[str, int]:
    """What the last line tells."""
    return {
        "kills": sum(ledger.kills for ledger in ledgers),
        "lost": sum(len(ledger.lost) for ledger in ledgers),
        "broken": sum(len(ledger.broken) for ledger in ledgers),
        "acknowledged": sum(ledger.acknowledged for ledger in ledgers),
        "cut_off": sum(ledger.cut_off for ledger in ledgers),
    }


def kill_again_and_again(directory: Path, kills: int, dice: random.Random) -> "Ledger":
    """What was acknowledged, lost and broken in so many kills on one store."""
    # Each child imports the main module anew, and what that imports.
    FORKSERVER.set_forkserver_preload([*_LOADED, *({"pytest"} & sys.modules.keys())])
    place = make_place(directory)
    ledger = Ledger()
    persons = [Person(place, ledger, key, random.Random(dice.random())) for key in place.persons]
    for _ in range(kills):
        kill_once(place, ledger, persons, dice.uniform(0, LONGEST_SECONDS))
        ledger.kills += 1
        ledger.compare(place.settings.store_file)
    return ledger


# ---- the installation


@dataclass(frozen=True)
class Place:
    """An installation whose cluster `prod` issues by `ca`; the keys of the account and of persons in it."""

    settings: Settings
    account: NewAccessKey
    ca: PemPair
    cluster_id: str
    persons: tuple[NewAccessKey, ...]


def make_place(directory: Path) -> Place:
    """A new installation with the cluster and the persons."""
    given = {"data_dir": str(directory / "data"), "listen": f"{HOST}:{free_port()}", "tls": "off"}
    quiet = {"metrics_listen": "off", "access_log": "off", "key_rate_per_second": "0", "account_rate_per_second": "0"}
    settings = load_settings({}, given | quiet)
    account = initialise(settings, [HOST], account_name="bench", account_id=None, region_id="local")
    return asyncio.run(_fill(settings, account))


async def _fill(settings: Settings, account: NewAccessKey) -> Place:
    store, custody = await open_custody(settings)
    change = partial(_change, custody, account.uid)
    try:
        ca = make_ca("kubernetes", int(time.time()) - 60, 3650)
        fields = ClusterFields(name="prod", client_ca=ca.certificate, public_endpoint="https://203.0.113.7:6443")
        cluster_id = await change(add_cluster, fields)
        await change(import_signer, "prod", ca)
        persons = []
        for number in range(PERSONS):
            uid = await change(add_principal, kind=PrincipalKind.USER, name=f"person-{number}")
            await change(set_attachment, FULL_ACCESS, attached=True, user=uid)
            persons.append(await change(add_access_key, uid))
    finally:
        store.close()
    return Place(settings, account, ca, cluster_id, tuple(persons))


async def _change(
    custody: Custody, account_id: str, use_case: Callable[..., Awaitable[Any]], *arguments: Any, **named: Any
) -> Any:
    return await use_case(custody, account_id, AUTHOR, time.time(), *arguments, **named)


# ---- what was acknowledged, and what is there

THERE = {
    "cluster": "SELECT cluster_id FROM clusters",
    "principal": "SELECT uid FROM principals",
    "policy": "SELECT name FROM policies",
    "imported": "SELECT LOWER(HEX(fingerprint)) FROM credentials WHERE origin = 'imported'",
    "attested": "SELECT LOWER(HEX(fingerprint)) FROM credentials WHERE removed_by = 'attested'",
    "issued": "SELECT LOWER(HEX(fingerprint)) FROM credentials WHERE origin = 'issued'",
    "wish": "SELECT LOWER(HEX(fingerprint)) FROM credentials WHERE removal_requested_at IS NOT NULL",
    "request": "SELECT DISTINCT request_id FROM events",
}
_NAMES = "'credential/' || LOWER(HEX(fingerprint)) FROM credentials AS c"
_OF = "ON {0}.account_id = c.account_id AND {0}.credential_no = c.credential_no"
# Each event of the kind has exactly its rows, and each of these rows its event.
WHOLE = {
    "credential_issued": f"SELECT {_NAMES} JOIN certificates AS d {_OF.format('d')} "
    f"JOIN private_keys AS k {_OF.format('k')} WHERE origin = 'issued'",
    "credential_imported": f"SELECT {_NAMES} JOIN certificates AS d {_OF.format('d')} WHERE origin = 'imported'",
    "removal_requested": f"SELECT {_NAMES} WHERE origin = 'issued' AND removal_requested_at IS NOT NULL",
    "removal_attested": f"SELECT {_NAMES} JOIN removals AS r {_OF.format('r')}",
    "cluster_added": "SELECT 'cluster/' || cluster_id FROM clusters AS c JOIN cluster_details AS d "
    "ON d.account_id = c.account_id AND d.cluster_seq = c.seq JOIN trust_bundles AS b "
    "ON b.account_id = c.account_id AND b.cluster_seq = c.seq AND b.epoch = c.trust_epoch",
    "policy_stored": "SELECT 'policy/' || name_folded FROM policies",
    "principal_created": "SELECT 'principal/' || p.uid FROM principals AS p JOIN personal_names AS n "
    "ON n.account_id = p.account_id AND n.uid = p.uid",
}
_SUBJECTS = "SELECT CASE subject WHEN '' THEN uid ELSE subject END FROM events WHERE kind = ?"


@dataclass
class Ledger:
    """What was acknowledged, as `kind name`; how many changes that were, and how many calls got no answer."""

    told: set[str] = field(default_factory=set)
    acknowledged: int = 0
    cut_off: int = 0
    kills: int = 0
    lost: set[str] = field(default_factory=set)
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return json.dumps(summary([self]))

    def acknowledge(self, *entries: str) -> None:
        """Note what one acknowledged change promises."""
        self.acknowledged += 1
        self.told.update(entries)

    def compare(self, path: Path) -> None:
        """Look whether everything is in the store, and whether it is whole."""
        there = {f"{kind} {name}" for kind, sql in THERE.items() for (name,) in ask(path, sql)}
        self.lost |= self.told - there
        try:
            check_books(path)
            check_whole(path)
        except AssertionError as error:
            self.broken.append(f"after kill {self.kills}: {error}")


def check_whole(path: Path) -> None:
    """Every event has its rows and every row its event."""
    for kind, sql in WHOLE.items():
        events, rows = sorted(ask(path, _SUBJECTS, kind)), sorted(ask(path, sql))
        assert events == rows, f"{kind}: {sorted(set(events) ^ set(rows))[:5]} ({len(events)} and {len(rows)})"


# ---- one kill


def kill_once(place: Place, ledger: Ledger, persons: list["Person"], seconds: float) -> None:
    """Let both processes work; kill them so many seconds after the first change that one acknowledged."""
    operator = partial(operate_until_killed, place.settings, place.account.uid, place.ca)
    with child(partial(serve_until_killed, place.settings)) as (server, ready), child(operator) as (other, words):
        if not ready.poll(START_SECONDS):
            raise RuntimeError("the server did not start")
        port = ready.recv()
        with asyncio.Runner() as runner:
            runner.run(_work_until_killed(port, words, ledger, persons, [server, other], seconds))
        with contextlib.suppress(*_HANGS_UP):
            while True:
                ledger.acknowledge(words.recv_bytes().decode())


@contextlib.contextmanager
def child(start: Callable[[Connection], None]) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that runs `start`, and our end of its pipe; killed at the end."""
    ours, theirs = FORKSERVER.Pipe(duplex=False)
    process = FORKSERVER.Process(target=start, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


async def _work_until_killed(
    port: int, words: Connection, ledger: Ledger, persons: list["Person"], processes: list[BaseProcess], seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    works = asyncio.Event()

    def note() -> None:
        try:
            while words.poll():
                ledger.acknowledge(words.recv_bytes().decode())
                works.set()
        except _HANGS_UP:
            loop.remove_reader(words.fileno())

    loop.add_reader(words.fileno(), note)
    working = [asyncio.create_task(person.work(port, works)) for person in persons]
    try:
        async with asyncio.timeout(START_SECONDS):
            await works.wait()
        await asyncio.sleep(seconds)
        ledger.cut_off += sum(person.calling for person in persons)
        for process in processes:
            process.kill()
        await asyncio.gather(*working)
    finally:
        loop.remove_reader(words.fileno())


class _Refused(Exception):
    """The server was too busy, and says that nothing was changed."""


class Person:
    """Gets, revokes and loses kubeconfigs, one call after the other."""

    def __init__(self, place: Place, ledger: Ledger, key: NewAccessKey, dice: random.Random) -> None:
        self.place, self.ledger, self.key, self.dice = place, ledger, key, dice
        self.path = f"/k8s/{place.cluster_id}"
        self.issued: set[str] = set()
        self.calling = False
        self.current: dict[int, str] = {}  # by minutes, what will be handed out again

    async def work(self, port: int, works: asyncio.Event) -> None:
        """Call until nobody answers any more."""
        self.host = f"{HOST}:{port}"
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            self.reader, self.writer = reader, writer
            while True:
                with contextlib.suppress(_Refused):
                    await self.dice.choices([self.get, self.revoke, self.be_cleaned], [12, 1, 1])[0]()
                works.set()
                # Changes one behind the other would keep the other process from the store for seconds.
                await asyncio.sleep(self.dice.uniform(0, LONGEST_PAUSE_SECONDS))
        except _HANGS_UP:
            pass
        finally:
            self.calling = False
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def get(self) -> None:
        """A kubeconfig of some minutes: a new one, or the very one of before, a kill in between or not."""
        minutes = self.dice.randint(60, 120)
        query = (("TemporaryDurationMinutes", str(minutes)),)
        request_id, body = await self.call("GET", f"{self.path}/user_config", "DescribeClusterUserKubeconfig", query)
        fingerprint = fingerprint_of(json.loads(body)["config"])
        self.ledger.acknowledge(f"issued {fingerprint}", f"request {request_id}")
        before, self.current[minutes] = self.current.get(minutes, fingerprint), fingerprint
        if before != fingerprint:
            self.ledger.broken.append(f"{before} was to be handed out again, and {fingerprint} came")
        self.issued.add(fingerprint)

    async def revoke(self) -> None:
        """Ask the removal of all, and a new one."""
        self.current.clear()
        request_id, _ = await self.call("DELETE", f"{self.path}/certs", "RevokeK8sClusterKubeConfig")
        self._note_wishes(f"request {request_id}")

    async def be_cleaned(self) -> None:
        """The account asks the removal of all."""
        self.current.clear()
        path, query = f"/cluster/{self.place.cluster_id}/user/{self.key.uid}/permissions", (("Force", "true"),)
        await self.call("DELETE", path, "CleanClusterUserPermissions", query, self.place.account)
        self._note_wishes()

    def _note_wishes(self, *more: str) -> None:
        self.ledger.acknowledge(*more, *(f"wish {fingerprint}" for fingerprint in self.issued))
        self.issued.clear()

    async def call(
        self,
        method: str,
        path: str,
        action: str,
        query: tuple[tuple[str, str], ...] = (),
        key: NewAccessKey | None = None,
    ) -> tuple[str, bytes]:
        """Request id and body of the answer. Raises what the connection does when it breaks."""
        key = key or self.key
        signed = sign_request(
            method=method,
            path=path,
            query=query,
            host=self.host,
            action=action,
            version="2015-12-15",
            access_key_id=key.access_key_id,
            secret=key.secret.encode(),
            signed_at=int(time.time()),
            nonce=os.urandom(16).hex(),
        )
        lines = [f"{method} {signed.target} HTTP/1.1", *(f"{name}: {value}" for name, value in signed.headers), "", ""]
        self.writer.write("\r\n".join(lines).encode("ascii"))
        self.calling = True
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        body = await self.reader.readexactly(int(_header(head, "content-length")))
        self.calling = False
        if head[9:12] == "503":
            raise _Refused
        assert head[9:12] == "200", f"{action}: {head[9:12]} {body[:500]!r}"
        return _header(head, "x-acs-request-id").upper(), body


def _header(head: str, name: str) -> str:
    return head.partition(f"\r\n{name}: ")[2].partition("\r\n")[0]


def fingerprint_of(kubeconfig: str) -> str:
    """The fingerprint of the certificate in a kubeconfig."""
    found = re.search(r'client-certificate-data: "?([A-Za-z0-9+/=]+)', kubeconfig)
    assert found, "a kubeconfig without certificate"
    return sha256(ssl.PEM_cert_to_DER_cert(b64decode(found[1]).decode())).hexdigest()


# ---- the processes that are killed


def serve_until_killed(settings: Settings, ready: Connection) -> None:
    """Serve, and say the port once it listens."""
    serve(settings, ready=lambda address: ready.send(address[1]))


def operate_until_killed(settings: Settings, account_id: str, ca: PemPair, words: Connection) -> None:
    """Change the store as commands do, several changes at once, each acknowledged only after it returned."""

    async def whole() -> None:
        _, custody = await open_custody(settings)
        operator = Operator(custody, account_id, ca, words)
        while True:
            with contextlib.suppress(ServiceUnavailable):  # it may be refused, as long as it is not acknowledged
                await operator.work()

    asyncio.run(whole())


class Operator:
    """What an operator does beside the server; the holders of what is imported are other people than the callers."""

    def __init__(self, custody: Custody, account_id: str, ca: PemPair, words: Connection) -> None:
        self.change = partial(_change, custody, account_id)
        self.ca, self.words = ca, words
        self.dice = random.Random(os.urandom(16))
        self.holders: list[str] = []
        self.imported: list[str] = []

    async def work(self) -> None:
        """Change until the process ends."""
        doings = [self.add_cluster, self.add_principal, self.put_policy, self.take_in, self.take_in, self.attest]
        while True:
            await asyncio.gather(*(self.dice.choice(doings)() for _ in range(self.dice.randint(1, 5))))

    def acknowledge(self, kind: str, name: str) -> None:
        self.words.send_bytes(f"{kind} {name}".encode())

    async def add_cluster(self) -> None:
        fields = ClusterFields(name=f"more-{self._new()}", client_ca=self.ca.certificate)
        self.acknowledge("cluster", await self.change(add_cluster, fields))

    async def add_principal(self) -> None:
        uid = await self.change(add_principal, kind=PrincipalKind.USER, name=f"user-{self._new()}")
        self.holders.append(uid)
        self.acknowledge("principal", uid)

    async def put_policy(self) -> None:
        name = f"policy-{self._new()}"
        statement = {"Effect": "Allow", "Action": ["cs:List*"], "Resource": "*"}
        await self.change(put_policy, name, json.dumps({"Version": "1", "Statement": [statement]}))
        self.acknowledge("policy", name)

    async def take_in(self) -> None:
        now, uids = int(time.time()), self.dice.choices([*self.holders, "1"], k=3)
        pairs = [make_client_certificate(self.ca, f"{uid}-1", ["system:users"], now - 9, now + YEAR) for uid in uids]
        batch = [candidate for pair in pairs for candidate in read_candidates(pair.certificate, "file")]
        await self.change(import_credentials, batch, which_cluster="prod")
        for candidate in batch:
            assert candidate.leaf is not None
            self.imported.append(candidate.leaf.fingerprint_hex)
            self.acknowledge("imported", candidate.leaf.fingerprint_hex)

    async def attest(self) -> None:
        if self.imported:
            chosen = self.imported.pop()
            await self.change(attest_removal, which_cluster="prod", selection=Selection(fingerprint=chosen))
            self.acknowledge("attested", chosen)

    def _new(self) -> int:
        return self.dice.getrandbits(60)


if __name__ == "__main__":
    main()
