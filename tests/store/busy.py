"""A process that changes a store until it is killed. Apart from its test, since each child imports it anew."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from multiprocessing.connection import Connection

from kubecustody.core.names import PrincipalKind
from kubecustody.custody.changes import Author
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.imports import import_credentials
from kubecustody.custody.installation import Custody, open_custody
from kubecustody.custody.principals import add_principal
from kubecustody.custody.removals import Selection, attest_removal
from kubecustody.kubeconfig.candidates import Candidate, read_candidates
from kubecustody.settings import Settings


class Busy:
    """One process's work: many changes at once, each acknowledged only after it returned."""

    def __init__(self, custody: Custody, account_id: str, ca: bytes, pems: list[bytes], acks: Connection) -> None:
        self.custody, self.account_id, self.ca, self.acks = custody, account_id, ca, acks
        self.waiting = [read_candidates(pem, "file")[0] for pem in pems]
        self.imported: list[Candidate] = []
        self.dice = random.Random(os.getpid())

    async def work(self) -> None:
        while self.waiting:
            doings = [self.add_cluster, self.add_principal, self.take_in, self.take_in, self.attest]
            await asyncio.gather(*(self.dice.choice(doings)() for _ in range(self.dice.randint(1, 5))))

    async def change(self, use_case: Callable[..., object], *arguments: object, **named: object) -> object:
        return await use_case(
            self.custody, self.account_id, Author("test", reason="test"), time.time(), *arguments, **named
        )  # type: ignore[misc]

    def acknowledge(self, kind: str, name: str) -> None:
        self.acks.send_bytes(f"{kind} {name}".encode())

    async def add_cluster(self) -> None:
        fields = ClusterFields(name=f"more-{self.dice.getrandbits(60)}", client_ca=self.ca)
        self.acknowledge("cluster", str(await self.change(add_cluster, fields)))

    async def add_principal(self) -> None:
        name = f"user-{self.dice.getrandbits(60)}"
        uid = await self.change(add_principal, kind=PrincipalKind.USER, name=name)
        self.acknowledge("principal", str(uid))

    async def take_in(self) -> None:
        batch, self.waiting = self.waiting[:3], self.waiting[3:]
        await self.change(import_credentials, batch, which_cluster="prod")
        for candidate in batch:
            self.imported.append(candidate)
            self.acknowledge("credential", fingerprint(candidate))

    async def attest(self) -> None:
        if self.imported:
            chosen = fingerprint(self.imported.pop())
            await self.change(attest_removal, which_cluster="prod", selection=Selection(fingerprint=chosen))
            self.acknowledge("removal", chosen)


def fingerprint(candidate: Candidate) -> str:
    assert candidate.leaf is not None
    return candidate.leaf.fingerprint_hex


def work_until_killed(settings: Settings, account_id: str, ca: bytes, pems: list[bytes], acks: Connection) -> None:
    async def whole() -> None:
        _, custody = await open_custody(settings)
        await Busy(custody, account_id, ca, pems, acks).work()

    asyncio.run(whole())
