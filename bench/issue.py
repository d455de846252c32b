"""`python -m bench.issue`: kubeconfigs issued over signed HTTP, ours against `cfssl serve`.

Ours: DescribeClusterUserKubeconfig, each call for another person or another cluster, so that each makes a P-256 key and
a certificate by the cluster's CA, seals the key, records both with their events, and answers once that is on disk
(synchronous = FULL); signature, nonce and policy are judged. The rival: POST newcert, a P-256 key and a certificate by
a P-256 CA; it proves nobody and keeps nothing. The servers share one CPU, the load has another; they take turns, with
one connection and with 16. Every answer must hold a certificate that no other holds; of some the signature, the key,
the name and the usage are verified, and at the end our store must hold each of ours with its sealed key.

Our server runs on an optimised CPython (`bench.cpython`), for a machine's own may be built without optimisations, which
says more of the machine than of us; `--interpreter own` takes the one that runs this.

The last line is one JSON object: ratio_cfssl is ours / cfssl in requests per second of the server's CPU time, the
median over the rounds, by number of connections; ratio_cfssl_per_second the same by the clock.
"""

import argparse
import asyncio
import base64
import gc
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bench.cpython.install import optimised_python
from bench.load import Answer, AnswerWrong, Call, Measured, build_requests
from bench.load import _run as send_all
from bench.ours import serve_store
from bench.rival_cfssl.start import new_certificate_request, start_cfssl
from bench.servers import LOAD_CPU, SERVER_CPU, Server
from kubecustody.catalogue.policies import FULL_ACCESS
from kubecustody.cli.initialise import initialise
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.changes import Author
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.installation import open_custody
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.custody.signers import make_signer
from kubecustody.settings import Settings, load_settings
from kubecustody.store.sqlite import connect

CONNECTIONS = (1, 16)
# For about the same time each.
REQUESTS = {"ours": 2_000, "cfssl": 4_000}
WARM_UP = 200
CLUSTERS = 128
VERIFIED = 25  # of each run
AUTHOR = Author("bench", reason="bench")


class Fleet(NamedTuple):
    """An installation with clusters that issue, and people who may ask. clusters: (id, PEM of the CA)."""

    settings: Settings
    clusters: tuple[tuple[str, str], ...]
    persons: tuple[NewAccessKey, ...]


class Asked(NamedTuple):
    """One raw request, for whom the certificate shall be, and the CA (PEM) that has to sign it."""

    request: bytes
    uid: str
    ca: bytes


class Made(NamedTuple):
    """A certificate and its private key, PEM."""

    certificate: bytes
    private_key: bytes


Run = dict[tuple[str, int], Measured]  # by server and number of connections


def main() -> None:
    """Run, print, and end with the line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of requests a round")
    parser.add_argument("--interpreter", choices=["optimised", "own"], default="optimised", help="that our server has")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    if not {SERVER_CPU, LOAD_CPU} <= os.sched_getaffinity(0):
        sys.exit(f"CPUs {SERVER_CPU} and {LOAD_CPU} are needed: one for the server, one for the load")
    counts = {name: max(100, int(count * options.scale)) for name, count in REQUESTS.items()}
    calls = options.rounds * len(CONNECTIONS) * (WARM_UP + counts["ours"])
    python = optimised_python() if options.interpreter == "optimised" else Path(sys.executable)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as running:
        fleet = asyncio.run(make_fleet(Path(directory), -(-calls // CLUSTERS)))
        os.sched_setaffinity(0, {SERVER_CPU})  # a server counts the CPUs when it starts
        cfssl, ca = start_cfssl(Path(directory))
        running.enter_context(cfssl)
        ours = running.enter_context(serve_store(fleet.settings, Path(directory), python=python))
        os.sched_setaffinity(0, {LOAD_CPU})
        sources = {"ours": (ours, ask_ours(fleet, ours)), "cfssl": (cfssl, ask_cfssl(cfssl, ca))}
        seen: dict[str, set[bytes]] = {name: set() for name in sources}
        rounds = [run_round(number, sources, counts, seen) for number in range(options.rounds)]
        check_store(fleet.settings, len(seen["ours"]))
    print_table(rounds)
    print(json.dumps({**summary(rounds), "python": _version_of(python)}))


# ---- ours


async def make_fleet(directory: Path, persons: int) -> Fleet:
    """An installation in which every person may get a kubeconfig of every cluster."""
    _say(f"making {CLUSTERS} clusters and {persons} persons")
    settings = load_settings({}, {"data_dir": str(directory / "data"), "keep_private_keys": "on"})
    account = await asyncio.to_thread(
        initialise, settings, ["127.0.0.1"], account_name="bench", account_id=None, region_id="local"
    )
    store, custody = await open_custody(settings)

    async def cluster(number: int) -> tuple[str, str]:
        fields = ClusterFields(name=f"payments-{number:03}", public_endpoint="https://203.0.113.7:6443")
        cluster_id = await add_cluster(custody, account.uid, AUTHOR, time.time(), fields)
        signer = await make_signer(custody, account.uid, AUTHOR, time.time(), cluster_id)
        return cluster_id, signer.certificate or ""

    async def person(number: int) -> NewAccessKey:
        now = time.time()
        uid = await add_principal(
            custody, account.uid, AUTHOR, now, kind=PrincipalKind.USER, name=f"person-{number:04}"
        )
        await set_attachment(custody, account.uid, AUTHOR, now, FULL_ACCESS, attached=True, user=uid)
        return await add_access_key(custody, account.uid, AUTHOR, now, uid)

    try:
        clusters = await asyncio.gather(*(cluster(number) for number in range(CLUSTERS)))
        people = await asyncio.gather(*(person(number) for number in range(persons)))
    finally:
        store.close()
    return Fleet(settings, tuple(clusters), tuple(people))


def ask_ours(fleet: Fleet, server: Server) -> Iterator[Asked]:
    """A signed request for each person in each cluster, in an order without order."""
    pairs = [(cluster, person) for cluster in fleet.clusters for person in fleet.persons]
    random.Random(4711).shuffle(pairs)
    for (cluster_id, ca), person in pairs:
        call = Call(
            path=f"/k8s/{cluster_id}/user_config",
            query=(),
            action="DescribeClusterUserKubeconfig",
            version="2015-12-15",
            access_key_id=person.access_key_id,
            secret=person.secret,
        )
        (request,) = build_requests(1, call, server)
        yield Asked(request, person.uid, ca.encode())


def _read_ours(body: bytes) -> Made:
    config = json.loads(body)["config"]

    def data(name: str) -> bytes:
        found = re.search(name + r': "?([A-Za-z0-9+/=]+)', config)
        if found is None:
            raise AnswerWrong(f"a kubeconfig without {name}")
        return base64.b64decode(found[1])

    return Made(data("client-certificate-data"), data("client-key-data"))


def check_store(settings: Settings, answered: int) -> None:
    """Raise AnswerWrong unless the store holds exactly what was answered, each with its sealed key."""
    connection = connect(settings.store_file, busy_timeout_ms=5000)
    counts = [
        connection.execute(sql).fetchone()[0]
        for sql in (
            "SELECT COUNT(*) FROM credentials WHERE origin = 'issued'",
            "SELECT COUNT(*) FROM private_keys WHERE sealed IS NOT NULL",
            "SELECT COUNT(*) FROM events WHERE kind = 'credential_issued'",
        )
    ]
    connection.close()
    if counts != [answered] * len(counts):
        raise AnswerWrong(f"{answered} certificates were answered, and the store has {counts}")


# ---- the rival


def ask_cfssl(server: Server, ca: bytes) -> Iterator[Asked]:
    """Requests without end, each for a name of its own that is as long as ours."""
    for number in range(10**9):
        uid = "200000000000000001"
        yield Asked(new_certificate_request(server, f"{uid}-{10**18 + number}"), uid, ca)


def _read_cfssl(body: bytes) -> Made:
    answer = json.loads(body)
    if not answer["success"]:
        raise AnswerWrong(f"cfssl: {answer['errors']}")
    return Made(answer["result"]["certificate"].encode(), answer["result"]["private_key"].encode())


_READ = {"ours": _read_ours, "cfssl": _read_cfssl}


# ---- is it right


def check_answers(name: str, asked: Sequence[Asked], bodies: Sequence[bytes], seen: set[bytes]) -> None:
    """Raise AnswerWrong unless each answer holds a certificate that was not seen before, and a sample is right.

    Answers come in the order of their requests only on one connection, so a sample is found by its name.
    """
    made = [_READ[name](body) for body in bodies]
    fresh = {one.certificate for one in made}
    if len(fresh) != len(asked) or fresh & seen:
        raise AnswerWrong(f"{name} answered a certificate twice")
    seen |= fresh
    wanted = {(one.uid, one.ca) for one in asked}
    for one in random.sample(made, VERIFIED):
        check_made(name, one, wanted)


def check_made(name: str, made: Made, wanted: set[tuple[str, bytes]]) -> None:
    """Raise AnswerWrong unless this is a client certificate for one of those asked for, with its P-256 key."""
    certificate = x509.load_pem_x509_certificate(made.certificate)
    key = serialization.load_pem_private_key(made.private_key, None)
    (common_name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    uid = str(common_name.value).partition("-")[0]
    cas = [x509.load_pem_x509_certificate(ca) for asked_uid, ca in wanted if asked_uid == uid]
    issuers = [ca for ca in cas if ca.subject == certificate.issuer]
    if len(issuers) != 1:
        raise AnswerWrong(f"{name} made a certificate that nobody asked for")
    certificate.verify_directly_issued_by(issuers[0])  # raises where the signature does not hold
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    groups = [one.value for one in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    right = (
        certificate.public_key() == key.public_key()
        and isinstance(key, ec.EllipticCurvePrivateKey)
        and key.curve.name == "secp256r1"
        and list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
        and groups == ["system:users"]
        and certificate.not_valid_before_utc.timestamp() <= time.time() < certificate.not_valid_after_utc.timestamp()
    )
    if not right:
        raise AnswerWrong(f"{name} made a certificate that is not what was asked for")


# ---- how fast is it


def run_round(
    number: int,
    sources: dict[str, tuple[Server, Iterator[Asked]]],
    counts: dict[str, int],
    seen: dict[str, set[bytes]],
) -> Run:
    """Each server once with each number of connections; the other one begins in each round."""
    names = [*sources][:: 1 if number % 2 == 0 else -1]
    measured: Run = {}
    for connections in CONNECTIONS:
        for name in names:
            server, source = sources[name]
            _measure(name, server, _take(source, WARM_UP), connections, seen[name])
            run = _measure(name, server, _take(source, counts[name]), connections, seen[name])
            measured[name, connections] = run
            _say(
                f"round {number + 1}, {connections} connections, {name}: {run.per_cpu_second:,.0f} per CPU-second, "
                f"{run.requests / run.seconds:,.0f} per second"
            )
    return measured


def _take(source: Iterator[Asked], count: int) -> list[Asked]:
    asked = list(islice(source, count))
    assert len(asked) == count
    return asked


def _measure(name: str, server: Server, asked: Sequence[Asked], connections: int, seen: set[bytes]) -> Measured:
    bodies: list[bytes] = []

    def note(answer: Answer) -> None:
        if answer.status != 200:
            raise AnswerWrong(f"{name} answered {answer.status}: {answer.body[:300]!r}")
        bodies.append(answer.body)

    requests = [one.request for one in asked]
    gc.collect()
    gc.disable()
    try:
        cpu_before, before = server.cpu_seconds(), time.perf_counter()
        latencies = send_all(server, requests, connections, note)
        seconds, cpu_seconds = time.perf_counter() - before, server.cpu_seconds() - cpu_before
    finally:
        gc.enable()
    check_answers(name, asked, bodies, seen)
    hundredths = statistics.quantiles(latencies, n=100)
    return Measured(len(requests), seconds, cpu_seconds, hundredths[49] * 1e6, hundredths[98] * 1e6)


def print_table(rounds: Sequence[Run]) -> None:
    """Medians over the rounds, with the lowest and highest of the main figure."""
    print(f"{'':10}{'at once':>8}{'per CPU-second':>16}{'lowest..highest':>18}{'per second':>12}{'p50/p99 us':>16}")
    for connections in CONNECTIONS:
        for name in REQUESTS:
            figures = _figures([each[name, connections] for each in rounds])
            spread = "..".join(f"{value:,.0f}" for value in figures["spread"])
            print(
                f"{name:10}{connections:>8}{figures['per_cpu_second']:>16,.0f}{spread:>18}"
                f"{figures['per_second']:>12,.0f}{figures['p50_us']:>9,.0f}/{figures['p99_us']:,.0f}"
            )


def summary(rounds: Sequence[Run]) -> dict[str, Any]:
    """What the last line tells."""
    by_cpu: dict[int, list[float]] = {}
    by_clock: dict[int, list[float]] = {}
    for connections in CONNECTIONS:
        pairs = [(each["ours", connections], each["cfssl", connections]) for each in rounds]
        by_cpu[connections] = [ours.per_cpu_second / cfssl.per_cpu_second for ours, cfssl in pairs]
        by_clock[connections] = [
            ours.requests / ours.seconds / (cfssl.requests / cfssl.seconds) for ours, cfssl in pairs
        ]
    return {
        "ratio_cfssl": {str(key): round(statistics.median(ratios), 3) for key, ratios in by_cpu.items()},
        "ratio_cfssl_spread": {
            str(key): [round(min(ratios), 3), round(max(ratios), 3)] for key, ratios in by_cpu.items()
        },
        "ratio_cfssl_per_second": {str(key): round(statistics.median(ratios), 3) for key, ratios in by_clock.items()},
        "rounds": len(rounds),
        "requests": {
            name: {str(key): _figures([each[name, key] for each in rounds]) for key in CONNECTIONS} for name in REQUESTS
        },
    }


def _figures(runs: Sequence[Measured]) -> dict[str, Any]:
    rates = [run.per_cpu_second for run in runs]
    return {
        "per_cpu_second": round(statistics.median(rates), 1),
        "spread": [round(min(rates), 1), round(max(rates), 1)],
        "per_second": round(statistics.median(run.requests / run.seconds for run in runs), 1),
        "p50_us": round(statistics.median(run.p50_us for run in runs)),
        "p99_us": round(statistics.median(run.p99_us for run in runs)),
    }


def _version_of(python: Path) -> str:
    """Its version, and how it was built."""
    ask = "import platform, sysconfig; print(platform.python_version(), sysconfig.get_config_var('CONFIG_ARGS') or '')"
    told = subprocess.run([str(python), "-c", ask], check=True, stdout=subprocess.PIPE, text=True).stdout
    version, *built = told.split()
    optimised = [word.strip("'") for word in built if "optimizations" in word or "lto" in word]
    return " ".join([version, *optimised])


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
