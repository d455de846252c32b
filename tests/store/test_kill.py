"""Whatever was acknowledged is there after a kill at any moment, and what is there is whole."""

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from busy import work_until_killed

from custody.books import ask, check_books
from installations import Installation
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.imports import import_credentials
from kubecustody.custody.principals import add_principal
from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.pki.issuing import PemPair, make_ca, make_client_certificate

KILLS = 200 if os.environ.get("KUBECUSTODY_SIZE") == "full" else 15
YEAR = 365 * 86400
CERTIFICATES = 40 * KILLS
# Children are forked from a server that has the program loaded, so that each lives for its work alone.
FORKSERVER = multiprocessing.get_context("forkserver")


def acknowledged_until_killed(start: Callable[[Connection], None], seconds: float) -> list[str]:
    """What a child acknowledged before it was killed, so many seconds after its first word."""
    ours, theirs = FORKSERVER.Pipe(duplex=False)
    child = FORKSERVER.Process(target=start, args=(theirs,))
    child.start()
    theirs.close()
    acknowledged = []
    try:
        deadline = None
        while deadline is None or time.monotonic() < deadline:
            if ours.poll(0.001):
                acknowledged.append(ours.recv_bytes().decode())
                deadline = deadline or time.monotonic() + seconds
        child.kill()
        while True:
            acknowledged.append(ours.recv_bytes().decode())
    except (EOFError, OSError):
        return acknowledged
    finally:
        child.kill()
        child.join()
        ours.close()


THERE = {
    "cluster": "SELECT cluster_id FROM clusters",
    "principal": "SELECT uid FROM principals",
    "credential": "SELECT LOWER(HEX(fingerprint)) FROM credentials",
    "removal": "SELECT LOWER(HEX(fingerprint)) FROM credentials WHERE removed_by = 'attested'",
}


def missing(path: Path, acknowledged: set[str]) -> set[str]:
    there = {f"{kind} {name}" for kind, sql in THERE.items() for (name,) in ask(path, sql)}
    return acknowledged - there


@pytest.fixture
def ca(installation: Installation) -> PemPair:
    """The client CA of the cluster `prod`, in which the users 2001 to 2007 hold certificates."""
    ca = make_ca("kubernetes", int(time.time()) - 60, 3650)
    installation.change(add_cluster, ClusterFields(name="prod", client_ca=ca.certificate))
    for number in range(1, 8):
        installation.change(add_principal, kind=PrincipalKind.USER, name=f"user{number}", uid=f"200{number}")
    return ca


def make_pems(ca: PemPair) -> list[bytes]:
    now = int(time.time())
    return [
        make_client_certificate(ca, f"200{number % 7 + 1}-{number}", ["system:users"], now - 9, now + YEAR).certificate
        for number in range(CERTIFICATES)
    ]


def test_whatever_was_acknowledged_survives_a_kill_at_any_moment(installation: Installation, ca: PemPair) -> None:
    FORKSERVER.set_forkserver_preload(["kubecustody.custody.imports", "kubecustody.custody.removals"])
    path, dice, acknowledged = installation.settings.store_file, random.Random(4711), set[str]()
    pems = make_pems(ca)
    for number in range(KILLS):
        mine = pems[number::KILLS]
        start = partial(work_until_killed, installation.settings, installation.account_id, ca.certificate, mine)
        told = acknowledged_until_killed(start, dice.uniform(0, 0.15))
        assert told, "the child did nothing before it was killed"
        acknowledged |= set(told)
        check_books(path)
        assert missing(path, acknowledged) == set()
    assert {word.split()[0] for word in acknowledged} == set(THERE)
    assert len(acknowledged) > 10 * KILLS
    # And it goes on from there.
    last = read_candidates(make_client_certificate(ca, "2001-0", [], 0, int(time.time()) + YEAR).certificate, "file")
    installation.change(import_credentials, last, which_cluster="prod")
    check_books(path)
