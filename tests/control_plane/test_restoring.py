"""Restoring what was removed, on real API servers: what was refused works again, where it may."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import Keeper, keeping, statuses
from control_plane.proxy import Fault, Proxy
from control_plane.test_managing import admitted
from control_plane.waiting import eventually
from custody.books import ask as rows_of
from custody.books import tell
from kubecustody.client import ApiError, Client
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import set_principal_disabled

pytestmark = pytest.mark.control_plane

DAY = 86_400


@pytest.fixture
def keeper(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.manage()
        yield keeper


def cleaned(keeper: Keeper) -> tuple[str, Identity]:
    """Somebody who was an admin, and is proved to be nobody any more."""
    anna, credential = admitted(keeper)
    keeper.clean(anna)
    eventually(lambda: keeper.removed_by(credential) == "proved")
    assert statuses(keeper.plane, credential) == [403, 403]
    return anna, credential


def refused(keeper: Keeper, credential: Identity, reason: str = "by mistake") -> ApiError:
    with pytest.raises(ApiError) as error:
        keeper.client.restore_credential(keeper.cluster_id, credential.fingerprint, reason)
    return error.value


def test_who_was_cleaned_and_is_restored_works_again_with_what_they_were_permitted(keeper: Keeper) -> None:
    """The key went with the proof, so that the file which the holder still has is all that there is of it."""
    anna, credential = cleaned(keeper)
    (row,) = keeper.client.list_restorable_credentials().credentials
    assert (row.uid, row.fingerprint, row.obstacle) == (anna, credential.fingerprint, "")
    done = keeper.client.restore_credential(keeper.cluster_id, credential.fingerprint, "cleaned by mistake")
    assert statuses(keeper.plane, credential) == [200, 200]
    assert done.permissions == [f"admin in {keeper.cluster_id}"]
    assert (done.key_kept, done.proof) == (False, "access_review")
    assert keeper.removed_by(credential) is None
    assert (keeper.state(anna).cert_state, keeper.state(anna).removal_requested_at) == ("Unexpired", None)
    assert [kind for kind, _ in keeper.steps_of(credential)] == ["proved", "restored"]
    sql = "SELECT uid, reason FROM events WHERE kind = 'credential_restored'"
    assert rows_of(keeper.path, sql) == [(anna, "cleaned by mistake")]
    assert keeper.client.list_restorable_credentials().credentials == []
    assert "nobody asked for its removal" in refused(keeper, credential).message
    keeper.clean(anna)
    eventually(lambda: keeper.removed_by(credential) == "proved")
    assert statuses(keeper.plane, credential) == [403, 403]


def test_where_the_key_is_kept_it_is_used_to_prove_that_it_works(control_plane: ControlPlane, tmp_path: Path) -> None:
    with keeping(tmp_path, control_plane, destroy_private_keys="never") as keeper:
        keeper.register()
        keeper.manage()
        _, credential = cleaned(keeper)
        done = keeper.client.restore_credential(keeper.cluster_id, credential.fingerprint, "by mistake")
        assert (done.key_kept, done.proof, done.text) == (True, "used", "Used, and answered.")


def test_one_of_two_credentials_is_restored_and_the_permissions_that_stayed_are_not_doubled(keeper: Keeper) -> None:
    anna, lasting = admitted(keeper)
    short = keeper.get(anna, minutes=60)
    eventually(lambda: statuses(keeper.plane, short, lasting) == [200] * 4)
    keeper.client.revoke_credential(keeper.cluster_id, short.fingerprint, "lost")
    eventually(lambda: keeper.removed_by(short) == "proved")
    done = keeper.client.restore_credential(keeper.cluster_id, short.fingerprint, "found")
    assert done.permissions == []
    assert statuses(keeper.plane, short, lasting) == [200] * 4


def test_what_was_removed_as_compromised_stays_removed(keeper: Keeper) -> None:
    anna, credential = admitted(keeper)
    keeper.client.clean_cluster_user_permissions(
        keeper.cluster_id, anna, force=True, compromised=True, allow_last_admin=True
    )
    eventually(lambda: keeper.removed_by(credential) == "proved")
    assert "removed as compromised" in refused(keeper, credential).message
    (row,) = keeper.client.list_restorable_credentials(uid=anna).credentials
    assert row.obstacle.startswith("it was removed as compromised")
    assert keeper.events("credential_compromised") == [("credential_compromised", anna, {})]
    assert statuses(keeper.plane, credential) == [403, 403]


def test_what_stands_against_restoring_is_told(keeper: Keeper) -> None:
    anna, credential = cleaned(keeper)
    assert "Reason: is '  '; it must be a text that is not blank" in refused(keeper, credential, "  ").message
    keeper.installation.change(set_principal_disabled, "anna", disabled=True)
    assert "its holder is disabled" in refused(keeper, credential).message
    keeper.installation.change(set_principal_disabled, "anna", disabled=False)
    before = int(time.time()) - 31 * DAY
    (was,) = rows_of(keeper.path, "SELECT removal_requested_at FROM credentials")
    tell(keeper.path, "UPDATE credentials SET removal_requested_at = ?", before)
    assert "more than 30 days ago" in refused(keeper, credential).message
    assert keeper.client.list_restorable_credentials().credentials == []
    tell(keeper.path, "UPDATE credentials SET removal_requested_at = ?", *was)
    keeper.get(anna)
    assert "was issued another one since" in refused(keeper, credential).message
    assert statuses(keeper.plane, credential) == [403, 403]


def test_nobody_restores_more_than_they_hold_nor_their_own(keeper: Keeper) -> None:
    anna, credential = cleaned(keeper)
    helper = keeper.add_person("helper")
    statement = {"Effect": "Allow", "Action": "kubecustody:RestoreCredential", "Resource": "*"}
    document = json.dumps({"Version": "1", "Statement": [statement]})
    keeper.installation.change(put_policy, "restoring", document)
    for name in ("helper", "anna"):
        keeper.installation.change(set_attachment, "restoring", attached=True, user=name)
    for who, code in ((helper, "ForbiddenGrantPermissions"), (anna, "ForbiddenRestoreCredential")):
        with Client(keeper.endpoint_of(who)) as client, pytest.raises(ApiError) as error:
            client.restore_credential(keeper.cluster_id, credential.fingerprint, "please")
        assert error.value.code == code
    assert statuses(keeper.plane, credential) == [403, 403]


def test_while_the_cluster_is_down_it_is_restored_here_and_bound_when_it_answers(
    control_plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    cluster = proxy.add_cluster()
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register(cluster.url)
        keeper.manage()
        _, credential = cleaned(keeper)
        cluster.fault = Fault.down()
        done = keeper.client.restore_credential(keeper.cluster_id, credential.fingerprint, "by mistake")
        assert (done.proof, done.text) == (
            "unproven",
            "It is restored here, and bound again as soon as the cluster answers.",
        )
        cluster.fault = None
        keeper.look()
        eventually(lambda: statuses(keeper.plane, credential) == [200, 200])


def test_the_command_lists_and_restores(keeper: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    anna, credential = cleaned(keeper)
    command = keeper.installation.command
    key = keeper.installation.key
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", key.access_key_id)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", key.secret)
    at = ("--endpoint", keeper.endpoint.url)
    listed = command("removed", "list", *at).stdout
    assert anna in listed and credential.fingerprint in listed
    restore = ("removed", "restore", keeper.cluster_id, credential.fingerprint, "--reason", "by mistake", *at)
    told = command(*restore)
    assert told.stdout == f"Restored: {credential.fingerprint} of {anna}\n  admin in {keeper.cluster_id}\n"
    assert "access_review: " in told.stderr
    again = command(*restore, check=False)
    assert again.returncode == 1 and "nobody asked for its removal" in again.stderr
    assert statuses(keeper.plane, credential) == [200, 200]
