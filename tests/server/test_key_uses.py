"""When a key was last used is written down, by whichever worker saw it."""

import asyncio
import time

import pytest
from wire import call

from custody.books import ask
from installations import Installation, serving
from kubecustody.core.errors import ServiceUnavailable
from kubecustody.core.names import PrincipalKind
from kubecustody.core.people import Person
from kubecustody.custody.authentication import Caller
from kubecustody.custody.principals import (
    NewAccessKey,
    add_principal_with_key,
    list_access_keys,
    set_access_key_disabled,
)
from kubecustody.server.key_uses import KeyUses
from kubecustody.store.transactions import Store


def used_at(installation: Installation, key: NewAccessKey) -> int | None:
    keys = installation.run(lambda custody: list_access_keys(custody, installation.account_id, None))
    return {one.access_key_id: one.used_at for one in keys}[key.access_key_id]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_use_is_written_down_and_a_refused_signature_is_none(installation: Installation, workers: str) -> None:
    denied, never, disabled = (new_key(installation, name) for name in ("denied", "never", "disabled"))
    installation.change(set_access_key_disabled, disabled.access_key_id, disabled=True)
    begun = time.time()
    with serving(installation, workers=workers) as server:
        assert call(server, installation.key).status == 200
        assert call(server, denied).status == 403
        assert call(server, disabled).status == 400
        assert call(server, never._replace(secret="wrong")).status == 400
    for key in (installation.key, denied):
        assert begun - 1 <= (used_at(installation, key) or 0) <= time.time()
    assert [used_at(installation, key) for key in (never, disabled)] == [None, None]


def new_key(installation: Installation, name: str) -> NewAccessKey:
    key: NewAccessKey = installation.change(add_principal_with_key, kind=PrincipalKind.USER, person=Person(0, name))
    return key


def test_an_older_use_never_stands_before_a_newer_one_and_is_no_event(installation: Installation) -> None:
    account_id, key_id = installation.account_id, installation.key.access_key_id
    caller = Caller(account_id, account_id, "account", key_id, "", 0, 0, 0)
    events = ask(installation.settings.store_file, "SELECT COUNT(*) FROM events")

    async def write(store: Store, at: float) -> None:
        uses = KeyUses(store)
        uses.note(caller, at)
        await uses.write()

    for at, wanted in ((1000.9, 1000), (900, 1000), (1100, 1100)):
        installation.run(lambda custody, at=at: write(custody.store, at))
        assert used_at(installation, installation.key) == wanted
    assert ask(installation.settings.store_file, "SELECT COUNT(*) FROM events") == events


def test_what_could_not_be_written_is_written_later(installation: Installation) -> None:
    caller = Caller("1", "1", "account", "KCx", "", 0, 0, 0)
    written: list[object] = []

    class Full:
        async def write(self, work: object) -> None:
            written.append(work)
            if len(written) == 1:
                raise ServiceUnavailable("the disk of the store is full")

    async def scene() -> None:
        uses = KeyUses(Full())  # type: ignore[arg-type]
        uses.note(caller, 1)
        for _ in range(3):
            await uses.write()

    asyncio.run(scene())
    assert len(written) == 2
