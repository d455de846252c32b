"""All that one removal took comes back in one call, on real API servers, or it is said why not."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import Keeper, keeping, statuses
from control_plane.waiting import eventually
from custody.books import ask as rows_of
from custody.books import contents, tell
from kubecustody.catalogue.permissions import GrantedPermission
from kubecustody.client import ApiError, Client
from kubecustody.core.times import format_time
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import set_principal_disabled

pytestmark = pytest.mark.control_plane

OPS = GrantedPermission("", "ops", "all-clusters")
REASON = "cleaned by mistake"


@pytest.fixture
def keeper(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.manage()
        yield keeper


def permitted(keeper: Keeper) -> tuple[str, Identity, Identity]:
    """Somebody with two kubeconfigs, who is admin of the cluster and ops of all."""
    anna = keeper.add_person("anna")
    lasting, short = keeper.get(anna), keeper.get(anna, minutes=60)
    keeper.client.grant_permissions(anna, [OPS, GrantedPermission(keeper.cluster_id, "admin", "cluster")])
    eventually(lambda: statuses(keeper.plane, lasting, short) == [200] * 4)
    return anna, lasting, short


def cleaned(keeper: Keeper, uid: str, *credentials: Identity, compromised: bool = False) -> str:
    """The task that took everything from them, proved."""
    task_id = keeper.client.clean_user_permissions(
        uid, force=True, allow_last_admin=True, compromised=compromised
    ).task_id
    eventually(lambda: keeper.client.describe_task_info(task_id).state == "success")
    eventually(lambda: all(keeper.removed_by(one) == "proved" for one in credentials))
    assert statuses(keeper.plane, *credentials) == [403, 403] * len(credentials)
    return str(task_id)


def refused(client: Client, uid: str, **which: str) -> ApiError:
    with pytest.raises(ApiError) as error:
        client.restore_removal(uid, REASON, **which)  # type: ignore[arg-type]
    return error.value


def test_what_a_task_took_comes_back_in_one_call_and_works_again(keeper: Keeper) -> None:
    anna, *both = permitted(keeper)
    before_all = keeper.client.describe_user_permission(anna)
    earlier = keeper.get(anna, minutes=30)
    keeper.client.revoke_credential(keeper.cluster_id, earlier.fingerprint, "lost")
    eventually(lambda: keeper.removed_by(earlier) == "proved")
    task_id = cleaned(keeper, anna, *both)
    assert keeper.client.describe_user_permission(anna) == []
    before = contents(keeper.path)
    would = keeper.client.restore_removal(anna, REASON, task_id=task_id, dry_run=True)
    assert contents(keeper.path) == before
    done = keeper.client.restore_removal(anna, REASON, task_id=task_id)
    fingerprints = {one.fingerprint for one in both}
    for answer in (would, done):
        assert {one.fingerprint for one in answer.restored} == fingerprints and answer.left == []
        assert answer.permissions == ["ops in all clusters", f"admin in {keeper.cluster_id}"]
    assert {one.proof for one in would.restored} == {"unproven"}
    assert {one.proof for one in done.restored} == {"access_review"}
    assert statuses(keeper.plane, *both) == [200] * 4
    assert statuses(keeper.plane, earlier) == [403, 403], "what was revoked before the removal is no part of it"
    assert keeper.client.describe_user_permission(anna) == before_all
    sql = "SELECT kind, COUNT(*) FROM events WHERE reason = ? GROUP BY kind ORDER BY kind"
    assert rows_of(keeper.path, sql, REASON) == [("credential_restored", 2), ("permissions_changed", 1)]
    assert "nothing was removed then" in refused(keeper.client, anna, task_id=task_id).message


def test_what_was_removed_in_a_time_comes_back_and_what_cannot_is_named(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the command. In the other cluster they were issued another one since."""
    anna, lasting, short = permitted(keeper)
    begun = format_time(int(time.time()))
    keeper.clean(anna)
    eventually(lambda: all(keeper.removed_by(one) == "proved" for one in (lasting, short)))
    key = keeper.installation.key
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", key.access_key_id)
    monkeypatch.setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", key.secret)
    restore = ("removed", "restore-all", "anna", "--from", begun, "--reason", REASON, "--endpoint", keeper.endpoint.url)
    done = keeper.installation.command(*restore)
    assert f"Restored: {lasting.fingerprint} in prod" in done.stdout and short.fingerprint in done.stdout
    assert f"Restored: admin in {keeper.cluster_id}" in done.stdout and "all clusters" not in done.stdout
    assert statuses(keeper.plane, lasting, short) == [200] * 4
    keeper.clean(anna)
    keeper.get(anna)
    done = keeper.installation.command(*restore, check=False)
    assert (
        done.returncode == 1 and f"Stays removed: {lasting.fingerprint} in prod: the holder was issued" in done.stdout
    )
    assert f"Restored: admin in {keeper.cluster_id}" in done.stdout, "permissions are the person's"


def test_a_removal_that_may_not_be_taken_back_is_refused_as_a_whole(keeper: Keeper) -> None:
    anna, *both = permitted(keeper)
    task_id = cleaned(keeper, anna, *both)
    assert "says which removal is meant" in refused(keeper.client, anna).message
    assert refused(keeper.client, "404", task_id=task_id).code == "EntityNotExist.User"
    helper = keeper.add_person("helper")
    assert refused(keeper.client, helper, task_id=task_id).code == "ErrorTaskNotFound"
    assert "more than 30 days ago" in refused_later(keeper, anna, task_id)
    keeper.installation.change(set_principal_disabled, "anna", disabled=True)
    assert "its holder is disabled" in refused(keeper.client, anna, task_id=task_id).message
    keeper.installation.change(set_principal_disabled, "anna", disabled=False)
    allow(keeper, "kubecustody:RestoreRemoval", "helper", "anna")
    with Client(keeper.endpoint_of(helper)) as client:
        assert refused(client, anna, task_id=task_id).code == "StatusForbidden", "in the cluster itself as well"
        allow(keeper, "kubecustody:RestoreCredential", "helper")
        assert refused(client, anna, task_id=task_id).code == "ForbiddenGrantPermissions"
    with Client(keeper.endpoint_of(anna)) as client:
        assert "nobody restores their own" in refused(client, anna, task_id=task_id).message
    assert statuses(keeper.plane, *both) == [403] * 4


def test_what_was_removed_as_compromised_stays_removed_with_its_permissions(keeper: Keeper) -> None:
    anna, *both = permitted(keeper)
    task_id = cleaned(keeper, anna, *both, compromised=True)
    assert "removed as compromised" in refused(keeper.client, anna, task_id=task_id).message
    begun = format_time(int(time.time()) - 600)
    assert "removed as compromised" in refused(keeper.client, anna, removed_from=begun).message
    assert keeper.client.describe_user_permission(anna) == []


def refused_later(keeper: Keeper, uid: str, task_id: str) -> str:
    """What is answered about a task of 31 days ago."""
    for sign in "-+":
        tell(keeper.path, f"UPDATE tasks SET created_at = created_at {sign} {31 * 86_400}")
        if sign == "-":
            message = refused(keeper.client, uid, task_id=task_id).message
    return message


def allow(keeper: Keeper, action: str, *names: str) -> None:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    policy = action.partition(":")[2]
    keeper.installation.change(put_policy, policy, json.dumps({"Version": "1", "Statement": [statement]}))
    for name in names:
        keeper.installation.change(set_attachment, policy, attached=True, user=name)
