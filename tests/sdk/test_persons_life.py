"""A person's whole life by the provider's own Python SDK, sync and async, and all that its user meets on the way."""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from alibabacloud_cs20151215 import models
from alibabacloud_cs20151215.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config
from lives import Given, Town, temporary_life, whole_life
from real_fleet import KUBECTL

from custody.books import ask as rows_of
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.principals import NewAccessKey, delete_principal, set_principal_disabled

pytestmark = [
    pytest.mark.sdk,
    # The SDK leaves its pooled connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class BySdk:
    """A person who calls by the SDK, sync or async."""

    refusal = ClientException

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

    def get(self, minutes: int | None = None, **named: Any) -> Given:
        request = models.DescribeClusterUserKubeconfigRequest(temporary_duration_minutes=minutes, **named)
        body = self.call("describe_cluster_user_kubeconfig", self.town.cluster_id, request).body
        return Given(body.config, body.expiration)

    def state(self) -> tuple[str, str]:
        request = models.ListUserKubeConfigStatesRequest()
        states = self.call("list_user_kube_config_states", self.uid, request).body.states
        (row,) = (row for row in states if row.cluster_id == self.town.cluster_id)
        return row.cert_state, row.cert_expire_time

    def revoke(self) -> None:
        assert self.call("revoke_k8s_cluster_kube_config", self.town.cluster_id).status_code == 200

    def clean(self, uid: str, *, force: bool | None = None) -> None:
        request = models.CleanClusterUserPermissionsRequest(force=force)
        answer = self.call("clean_cluster_user_permissions", self.town.cluster_id, uid, request)
        assert answer.status_code == 200

    def expire(self, uid: str, hours: int) -> None:
        request = models.UpdateK8sClusterUserConfigExpireRequest(expire_hour=hours, user=uid)
        answer = self.call("update_k8s_cluster_user_config_expire", self.town.cluster_id, request)
        assert answer.status_code == 200

    def holder_states(self) -> dict[str, str]:
        return {row.account_id: row.cert_state for row in self.holders(page_size=50).states}

    def holders(self, **named: Any) -> Any:
        request = models.ListClusterKubeconfigStatesRequest(**named)
        return self.call("list_cluster_kubeconfig_states", self.town.cluster_id, request).body


Join = Callable[..., BySdk]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def join(request: pytest.FixtureRequest, town: Town) -> Join:
    """Makes a new person, whose name gets the way of calling behind it."""
    suffix = "-async" if request.param else "-sync"

    def make(name: str, **named: Any) -> BySdk:
        return BySdk(town, town.add(name + suffix, **named), is_async=request.param)

    return make


@pytest.fixture
def account(town: Town, join: Join, request: pytest.FixtureRequest) -> BySdk:
    return BySdk(town, town.installation.key, is_async="async" in request.node.name)


def test_a_persons_life_from_unissued_to_removed(town: Town, join: Join, account: BySdk) -> None:
    whole_life(town, join, account)


def test_a_temporary_kubeconfig_expires_and_another_is_given(town: Town, join: Join) -> None:
    temporary_life(town, join)


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


def test_only_the_account_gets_somebody_elses(town: Town, join: Join, account: BySdk) -> None:
    erik, other = join("erik"), join("frida")
    request = models.DescribeSubaccountK8sClusterUserConfigRequest()
    arguments = "describe_subaccount_k8s_cluster_user_config", town.cluster_id, erik.uid, request
    with pytest.raises(ClientException) as caught:
        other.call(*arguments)
    assert (caught.value.code, caught.value.status_code) == ("StatusForbidden", 403)
    assert account.call(*arguments).body.to_map() == erik.get()._asdict()


def test_limits_and_bounds_are_told_as_the_sdk_raises_them(join: Join) -> None:
    gitta = join("gitta")
    for named, words in (
        ({"minutes": 14}, "TemporaryDurationMinutes"),
        ({"minutes": 4321}, "TemporaryDurationMinutes"),
    ):
        with pytest.raises(ClientException) as caught:
            gitta.get(**named)
        assert caught.value.code == "InvalidParameter" and words in caught.value.message
    with pytest.raises(ClientException) as caught:
        gitta.get(private_ip_address=True)
    assert caught.value.code == "ErrorClusterState" and "intranet address" in caught.value.message


def test_the_holders_of_a_cluster_by_pages_with_names_types_and_states(town: Town, join: Join, account: BySdk) -> None:
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
