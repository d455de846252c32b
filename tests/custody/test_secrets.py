"""Secrets lie in the data folder sealed or not at all, and outlive a new master key, also under a running server."""

import base64
import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from custody.books import check_books
from custody.fleets import ANNA, Fleet
from installations import PROGRAM, Installation, serving
from kubecustody.catalogue.operations import get_operation
from kubecustody.client import Endpoint
from kubecustody.client.calls import call_operation
from kubecustody.core.errors import OperatorError
from kubecustody.custody.installation import Custody, open_access_key_secret
from kubecustody.custody.principals import NewAccessKey, add_access_key
from kubecustody.pki.sealing import KeyRing, load_key_ring, write_key_ring
from kubecustody.store.callers import find_key_holder
from pki.openssl import Made

LIST = get_operation("ListUserKubeConfigStates")


def call(url: str, key: NewAccessKey) -> int:
    return call_operation(Endpoint(url, key.access_key_id, key.secret), LIST, {"Uid": ANNA}).status


def spellings(secret: bytes) -> list[bytes]:
    return [secret, secret.hex().encode(), secret.hex().upper().encode(), base64.b64encode(secret).rstrip(b"=")]


def files_below(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def rotate(installation: Installation) -> str:
    return installation.command("admin", "rotate-master-key", "--reason", "test").stdout


def ring_of(installation: Installation) -> KeyRing:
    return load_key_ring(installation.settings.key_ring_file, None)


def test_no_secret_lies_in_plain_in_the_data_folder_or_in_the_servers_log(fleet: Fleet, annas: Made) -> None:
    installation = fleet.installation
    fleet.take(annas.key + annas.certificate, keep_private_keys=True)
    keys = [installation.key, fleet.change(add_access_key, "anna")]
    with serving(installation) as server:
        keys.append(fleet.change(add_access_key, "bert"))
        assert [call(server.url, key) for key in (keys[0], keys[0])] == [200, 200]
        call(server.url, keys[1])
        rotate(installation)
        assert call(server.url, keys[0]) == 200
        # With the WAL, while everything is open.
        found = {**files_below(installation.settings.data_dir), "log": server.log.read_bytes()}
    found.update({f"{name} after": content for name, content in files_below(installation.settings.data_dir).items()})
    assert {"kubecustody.db", "kubecustody.db-wal", "nonces", "log"} <= set(found)
    masters = list(ring_of(installation).keys.values())
    assert len(masters) == 2
    body = b"".join(line for line in annas.key.splitlines() if b"-----" not in line)
    canaries = [key.secret.encode() for key in keys] + masters + [annas.key, base64.b64decode(body)]
    for canary in canaries:
        for spelling in spellings(canary):
            assert [name for name, content in found.items() if spelling in content] == []
    assert keys[0].access_key_id.encode() in found["kubecustody.db"] + found["kubecustody.db-wal"], "the search finds"


def test_the_repr_of_what_holds_secrets_does_not_show_them(installation: Installation) -> None:
    async def told(custody: Custody) -> str:
        return repr([custody, installation.key, Endpoint("https://x", "KC", installation.key.secret)])

    text = installation.run(told)
    assert installation.key.secret not in text
    assert repr(ring_of(installation).keys[1]) not in text


def test_keys_of_before_during_and_after_a_new_master_key_sign_on_under_a_running_server(fleet: Fleet) -> None:
    """Also one whose secret the server had not yet opened when its key ring changed."""
    installation, old = fleet.installation, fleet.installation.key
    never_used: NewAccessKey = fleet.change(add_access_key, fleet.account_id)
    with serving(installation) as server:
        assert call(server.url, old) == 200
        assert "secrets anew" in rotate(installation)
        assert call(server.url, never_used) == 200
        assert call(server.url, old) == 200
        after: NewAccessKey = fleet.change(add_access_key, fleet.account_id)
        assert call(server.url, after) == 200
        rotate(installation)
        assert [call(server.url, key) for key in (old, never_used, after)] == [200, 200, 200]
    with serving(installation) as server:
        assert [call(server.url, key) for key in (old, never_used, after)] == [200, 200, 200]
    assert sorted(ring_of(installation).keys) == [1, 2, 3]
    check_books(fleet.path)


@contextlib.contextmanager
def other_ring(installation: Installation, ring: KeyRing | None) -> Iterator[None]:
    """With another key ring in the place of the installation's, or with none."""
    path = installation.settings.key_ring_file
    aside = path.with_name("aside")
    path.rename(aside)
    if ring is not None:
        write_key_ring(path, ring)
    yield
    path.unlink(missing_ok=True)
    aside.rename(path)


@pytest.mark.parametrize("command", [("serve", "--listen", "127.0.0.1:0"), ("admin", "accounts", "list")])
def test_another_key_ring_does_not_start_and_says_why(installation: Installation, command: tuple[str, ...]) -> None:
    old = ring_of(installation)
    rotate(installation)
    wrong = KeyRing({1: bytes(32), 2: bytes(range(32))}, 2)
    for ring, words in (
        (old, "master key v2, and the key ring holds only v1"),
        (wrong, "The key ring does not belong to"),
        (None, "No such file or directory"),
    ):
        with other_ring(installation, ring):
            done = installation.command(*command, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert words in done.stderr and "restore" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_key_ring_that_others_can_read_does_not_start(installation: Installation) -> None:
    installation.settings.key_ring_file.chmod(0o640)
    with pytest.raises(OperatorError, match="chmod 600"):
        installation.run(lambda custody: None)  # type: ignore[arg-type,return-value]


def test_a_backup_of_before_a_new_master_key_opens_with_the_ring_of_after(installation: Installation) -> None:
    store = installation.settings.store_file
    backup = store.with_name("backup.db")
    shutil.copy(store, backup)
    rotate(installation)
    shutil.copy(backup, store)
    with serving(installation) as server:
        assert call(server.url, installation.key) == 404, "proved, allowed, and there is nobody of that uid"


def test_two_new_master_keys_at_once_lock_nothing_away(fleet: Fleet, annas: Made) -> None:
    installation = fleet.installation
    fleet.take(annas.key + annas.certificate, keep_private_keys=True)
    command = [*PROGRAM, "admin", "rotate-master-key", "--reason", "test"]
    running = [subprocess.Popen(command, env=installation.environment, stdout=subprocess.PIPE) for _ in range(3)]
    for process in running:
        with process:
            process.communicate(timeout=60)
        assert process.returncode == 0
    assert sorted(ring_of(installation).keys) == [1, 2, 3, 4]

    async def opened(custody: Custody) -> bytes:
        holder = await custody.store.read(lambda tx: find_key_holder(tx, installation.key.access_key_id))
        assert holder is not None
        key_id = installation.key.access_key_id
        return open_access_key_secret(custody.sealer, fleet.account_id, key_id, holder.sealed_secret)

    assert installation.run(opened) == installation.key.secret.encode()
    check_books(fleet.path)
