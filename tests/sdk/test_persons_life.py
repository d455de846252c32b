"""A person's whole life by the provider's own SDK: from Unissued to Removed, and a temporary kubeconfig to Expired.

The server's clock is the real one. Two facts are moved in the store instead: `issued_at` of a certificate, by 300 days
into the past, so that it stands in its last third; and every moment of a temporary one, so that it has ended.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from alibabacloud_cs20151215 import models
from alibabacloud_cs20151215.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config
from real_fleet import KUBECTL

from custody.books import ask as rows_of
from custody.books import check_books, tell
from installations import AUTHOR, Installation, RunningServer, make_installation, serving
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.changes import Author
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import (
    NewAccessKey,
    add_access_key,
    add_principal,
    delete_principal,
    set_principal_disabled,
)
from kubecustody.custody.removals import Selection, attest_removal
from kubecustody.custody.signers import make_signer

pytestmark = [
    pytest.mark.sdk,
    # The SDK leaves its pooled connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FULL = "AliyunCSFullAccess"


@dataclass
class Town:
    """A served installation with the cluster `prod`, which issues."""

    installation: Installation
    server: RunningServer
    cluster_id: str

    @property
    def path(self) -> Path:
        return self.installation.settings.store_file

    def add(self, name: str, kind: PrincipalKind = PrincipalKind.USER, **named: str) -> NewAccessKey:
        self.installation.change(add_principal, kind=kind, name=name, **named)
        self.installation.change(set_attachment, FULL, attached=True, user=name)
        key = self.installation.change(add_access_key, name)
        assert isinstance(key, NewAccessKey)
        return key


class Person:
    """Calls by the SDK with one person's key, sync or async."""

    def __init__(self, town: Town, key: NewAccessKey, *, is_async: bool) -> None:
        protocol, _, address = town.server.url.partition("://")
        self.client = Client(
            Config(
                access_key_id=key.access_key_id,
                access_key_secret=key.secret,
                endpoint=address,
                protocol=protocol,
                region_id="local",
            )
        )
        self.town, self.uid, self.is_async = town, key.uid, is_async

    def call(self, method: str, *arguments: Any) -> Any:
        if self.is_async:
            return asyncio.run(getattr(self.client, f"{method}_async")(*arguments))
        return getattr(self.client, method)(*arguments)

    def get(self, **named: Any) -> Any:
        request = models.DescribeClusterUserKubeconfigRequest(**named)
        return self.call("describe_cluster_user_kubeconfig", self.town.cluster_id, request).body

    def revoke(self) -> Any:
        return self.call("revoke_k8s_cluster_kube_config", self.town.cluster_id)

    def clean(self, uid: str, **named: Any) -> Any:
        request = models.CleanClusterUserPermissionsRequest(**named)
        return self.call("clean_cluster_user_permissions", self.town.cluster_id, uid, request)

    def state(self) -> tuple[str, str]:
        request = models.ListUserKubeConfigStatesRequest()
        (row,) = self.call("list_user_kube_config_states", self.uid, request).body.states
        return row.cert_state, row.cert_expire_time

    def holders(self, **named: Any) -> Any:
        request = models.ListClusterKubeconfigStatesRequest(**named)
        return self.call("list_cluster_kubeconfig_states", self.town.cluster_id, request).body


Join = Callable[..., Person]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    installation = make_installation(tmp_path_factory.mktemp("life"))
    fields = ClusterFields(name="prod", public_endpoint="https://203.0.113.7:6443")
    cluster_id = installation.change(add_cluster, fields)
    installation.change(make_signer, "prod")
    with serving(installation) as server:
        yield Town(installation, server, cluster_id)
    check_books(installation.settings.store_file)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def join(request: pytest.FixtureRequest, town: Town) -> Join:
    """Makes a new person, whose name gets the way of calling behind it."""
    suffix = "-async" if request.param else "-sync"

    def make(name: str, **named: Any) -> Person:
        return Person(town, town.add(name + suffix, **named), is_async=request.param)

    return make


@pytest.fixture
def account(town: Town, join: Join, request: pytest.FixtureRequest) -> Person:
    return Person(town, town.installation.key, is_async="async" in request.node.name)


def live(town: Town, uid: str) -> list[tuple[Any, ...]]:
    """When the removal of each of a person's credentials was asked for, in the order of issue."""
    sql = "SELECT removal_requested_at IS NOT NULL FROM credentials WHERE uid = ? ORDER BY credential_no"
    return rows_of(town.path, sql, uid)


def test_a_persons_life_from_unissued_to_removed(town: Town, join: Join, account: Person) -> None:
    anna, admin = join("anna"), join("admin")
    assert anna.state() == ("Unissued", "")

    first = anna.get()
    assert anna.state() == ("Unexpired", first.expiration)
    assert anna.get().to_map() == first.to_map()

    # Into its last third: of 390 days it then has 90 left, and the window is 130.
    tell(town.path, "UPDATE credentials SET issued_at = issued_at - 300 * 86400 WHERE uid = ?", anna.uid)
    second = anna.get()
    assert second.config != first.config and live(town, anna.uid) == [(0,), (0,)]
    assert anna.state() == ("Unexpired", second.expiration)
    assert anna.get().config == second.config

    expire = models.UpdateK8sClusterUserConfigExpireRequest(expire_hour=720, user=anna.uid)
    assert account.call("update_k8s_cluster_user_config_expire", town.cluster_id, expire).status_code == 200
    third = anna.get()
    assert third.expiration < second.expiration and live(town, anna.uid) == [(0,)] * 3

    assert anna.revoke().status_code == 200
    assert live(town, anna.uid) == [(1,)] * 3 + [(0,)]
    fourth = anna.get()
    assert fourth.config not in (first.config, second.config, third.config)
    assert fourth.expiration > third.expiration

    with pytest.raises(ClientException) as caught:
        admin.clean(anna.uid)
    assert (caught.value.code, caught.value.status_code) == ("ErrorAuditNotReadable", 400)
    assert anna.get().config == fourth.config
    assert admin.clean(anna.uid, force=True).status_code == 200
    assert live(town, anna.uid) == [(1,)] * 4
    assert anna.state()[0] == "Unexpired"

    def attest(uid: str) -> None:
        author = Author(AUTHOR.actor, reason="bindings deleted by hand")
        town.installation.run(
            lambda custody: attest_removal(
                custody,
                town.installation.account_id,
                author,
                time.time(),
                which_cluster="prod",
                selection=Selection(user=uid),
            )
        )

    attest(anna.uid)
    assert anna.state()[0] == "Removed"
    assert anna.uid not in {row.account_id for row in admin.holders(page_size=50).states}
    assert anna.get().config not in (first.config, second.config, third.config, fourth.config)
    assert anna.state()[0] == "Unexpired"


def test_a_temporary_kubeconfig_expires_and_another_is_given(town: Town, join: Join) -> None:
    carol = join("carol")
    first = carol.get(temporary_duration_minutes=15)
    assert carol.state() == ("Unexpired", first.expiration)
    assert carol.get(temporary_duration_minutes=15).config == first.config
    moved = "issued_at = issued_at - 1000, not_before = not_before - 1000, not_after = not_after - 1000, "
    tell(town.path, f"UPDATE credentials SET {moved} vouched_until = vouched_until - 1000 WHERE uid = ?", carol.uid)
    moved = "vouched_until = vouched_until - 1000, newest_not_after = newest_not_after - 1000"
    tell(town.path, f"UPDATE holdings SET {moved} WHERE uid = ?", carol.uid)
    state, ended = carol.state()
    assert state == "Expired" and ended < first.expiration
    second = carol.get(temporary_duration_minutes=15)
    assert second.config != first.config
    assert carol.state() == ("Unexpired", second.expiration)


def test_kubectl_reads_what_the_sdk_got(town: Town, join: Join, tmp_path: Path) -> None:
    dora = join("dora")
    text = dora.get().config
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    command = [str(KUBECTL), "--kubeconfig", str(path), "config", "view", "--raw", "-o", "yaml"]
    read = yaml.safe_load(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    wanted = yaml.safe_load(text)
    assert {name: read[name] for name in ("clusters", "users", "contexts", "current-context")} == {
        name: wanted[name] for name in ("clusters", "users", "contexts", "current-context")
    }
    request = models.DescribeClusterV2UserKubeconfigRequest()
    assert dora.call("describe_cluster_v2user_kubeconfig", town.cluster_id, request).body.config == text


def test_only_the_account_gets_somebody_elses(town: Town, join: Join, account: Person) -> None:
    erik, other = join("erik"), join("frida")
    request = models.DescribeSubaccountK8sClusterUserConfigRequest()
    arguments = "describe_subaccount_k8s_cluster_user_config", town.cluster_id, erik.uid, request
    with pytest.raises(ClientException) as caught:
        other.call(*arguments)
    assert (caught.value.code, caught.value.status_code) == ("StatusForbidden", 403)
    assert account.call(*arguments).body.to_map() == erik.get().to_map()


def test_limits_and_bounds_are_told_as_the_sdk_raises_them(join: Join) -> None:
    gitta = join("gitta")
    for named, words in (
        ({"temporary_duration_minutes": 14}, "TemporaryDurationMinutes"),
        ({"temporary_duration_minutes": 4321}, "TemporaryDurationMinutes"),
    ):
        with pytest.raises(ClientException) as caught:
            gitta.get(**named)
        assert caught.value.code == "InvalidParameter" and words in caught.value.message
    with pytest.raises(ClientException) as caught:
        gitta.get(private_ip_address=True)
    assert caught.value.code == "ErrorClusterState" and "intranet address" in caught.value.message


def test_the_holders_of_a_cluster_by_pages_with_names_types_and_states(town: Town, join: Join, account: Person) -> None:
    people = {
        "active": join("hanna", display_name="Hanna H."),
        "disabled": join("ivo"),
        "deleted": join("jana"),
        "role": join("deploy", kind=PrincipalKind.ROLE),
    }
    for person in (*people.values(), account):
        person.get()
    names = {row[0]: row[1] for row in rows_of(town.path, "SELECT uid, name FROM personal_names")}
    town.installation.change(set_principal_disabled, people["disabled"].uid, disabled=True)
    town.installation.change(delete_principal, people["deleted"].uid)

    whole = account.holders(page_size=50)
    found = {row.account_id: row for row in whole.states}
    assert [row.account_id for row in whole.states] == sorted(found)
    told = {what: (found[person.uid].account_type, found[person.uid].account_state) for what, person in people.items()}
    assert told == {
        "active": ("RamUser", "Active"),
        "disabled": ("RamUser", "InActive"),
        "deleted": ("RamUser", "Deleted"),
        "role": ("RamRole", "Active"),
    }
    assert found[account.uid].account_type == "RootAccount"
    hanna = found[people["active"].uid]
    assert (hanna.account_name, hanna.account_display_name) == (names[hanna.account_id], "Hanna H.")
    assert (hanna.cert_state, hanna.revokable) == ("Unexpired", True)
    assert hanna.cert_expire_time == people["active"].get().expiration

    rows: list[Any] = []
    total = len(whole.states)
    for number in range(1, total // 2 + 3):
        page = account.holders(page_number=number, page_size=2)
        assert page.page.to_map() == {"page_number": number, "page_size": 2, "total_count": total}
        rows += [row.to_map() for row in page.states]
    assert rows == [row.to_map() for row in whole.states]
    assert account.holders(cloud_service_kube_config=True).states == []
    for named in ({"page_size": 51}, {"page_size": 0}, {"page_number": 0}):
        with pytest.raises(ClientException) as caught:
            account.holders(**named)
        assert caught.value.code == "InvalidParameter"
        assert ("pageSize" if "page_size" in named else "pageNumber") in caught.value.message
