"""A person's whole life, whichever SDK calls: from Unissued to Removed, and a temporary kubeconfig to Expired.

The server's clock is the real one. Two facts are moved in the store instead: `issued_at` of a certificate, by 300 days
into the past, so that it stands in its last third; and every moment of a temporary one, so that it has ended.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest
from programs import Program, Refused

from custody.books import ask as rows_of
from custody.books import tell
from installations import AUTHOR, Installation, RunningServer, serving
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.changes import Author
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.custody.removals import Selection, attest_removal

FULL = "AliyunCSFullAccess"


@dataclass
class Town:
    """A served installation; `clusters`: their ids by name, all of which issue."""

    installation: Installation
    server: RunningServer
    clusters: dict[str, str]

    @property
    def cluster_id(self) -> str:
        return self.clusters["prod"]

    @property
    def path(self) -> Path:
        return self.installation.settings.store_file

    def add(self, name: str, kind: PrincipalKind = PrincipalKind.USER, **named: str) -> NewAccessKey:
        self.installation.change(add_principal, kind=kind, name=name, **named)
        self.installation.change(set_attachment, FULL, attached=True, user=name)
        key = self.installation.change(add_access_key, name)
        assert isinstance(key, NewAccessKey)
        return key

    def requested(self, uid: str) -> list[tuple[Any, ...]]:
        """Whether the removal of each of a person's credentials was asked for, in the order of issue."""
        sql = "SELECT removal_requested_at IS NOT NULL FROM credentials WHERE uid = ? ORDER BY credential_no"
        return rows_of(self.path, sql, uid)

    def attest(self, uid: str, cluster: str = "prod") -> None:
        author = Author(AUTHOR.actor, reason="bindings deleted by hand")
        self.installation.run(
            lambda custody: attest_removal(
                custody,
                self.installation.account_id,
                author,
                time.time(),
                which_cluster=cluster,
                selection=Selection(user=uid),
            )
        )


class Given(NamedTuple):
    """A kubeconfig as it was handed out."""

    config: str
    expiration: str


class Person(Protocol):
    """Calls with one person's key. The cluster is `prod`, where a call takes none."""

    uid: str
    refusal: type[Exception]  # with code, status_code, message and request_id

    def get(self, minutes: int | None = None) -> Given: ...
    def state(self) -> tuple[str, str]: ...
    def revoke(self) -> Any: ...
    def clean(self, uid: str, *, force: bool | None = None) -> Any: ...
    def expire(self, uid: str, hours: int) -> Any: ...
    def holder_states(self) -> dict[str, str]: ...


Join = Callable[[str], Person]


class ByProgram:
    """A person who calls by a program in another language."""

    refusal = Refused

    def __init__(self, program: Program, town: Town, key: NewAccessKey) -> None:
        self.program, self.town, self.uid = program, town, key.uid
        self.key = {"id": key.access_key_id, "secret": key.secret}

    def ask(self, do: str, **more: Any) -> Any:
        __tracebackhide__ = True
        given = {"cluster": self.town.cluster_id, "endpoint": self.town.server.url, "key": self.key, **more}
        return self.program.ask(do=do, **{name: value for name, value in given.items() if value is not None})

    def get(self, minutes: int | None = None, **more: Any) -> Given:
        return Given(**self.ask("get", minutes=minutes, **more))

    def state(self, cluster: str = "prod") -> tuple[str, str]:
        body = self.ask("states", uid=self.uid)
        rows = {row["cluster_id"]: row for row in body["states"]}
        assert body["page"] == {"page_number": 1, "page_size": 50, "total_count": len(rows)}
        row = rows[self.town.clusters[cluster]]
        return row["cert_state"], row.get("cert_expire_time", "")

    def revoke(self) -> Any:
        return self.ask("revoke")

    def clean(self, uid: str, *, force: bool | None = None) -> Any:
        return self.ask("clean", uid=uid, force=force)

    def expire(self, uid: str, hours: int) -> Any:
        return self.ask("expire", uid=uid, hours=hours)

    def holder_states(self) -> dict[str, str]:
        body = self.ask("holders", size=50)
        states = body.get("states", [])  # the Go SDK leaves out an empty list when it writes what it has read
        assert body["page"]["total_count"] == len(states)
        return {row["account_id"]: row["cert_state"] for row in states}


def whole_life(town: Town, join: Join, account: Person) -> None:
    anna, admin = join("anna"), join("admin")
    assert anna.state() == ("Unissued", "")

    first = anna.get()
    assert anna.state() == ("Unexpired", first.expiration)
    assert anna.get() == first

    # Into its last third: of 390 days it then has 90 left, and the window is 130.
    tell(town.path, "UPDATE credentials SET issued_at = issued_at - 300 * 86400 WHERE uid = ?", anna.uid)
    second = anna.get()
    assert second.config != first.config and town.requested(anna.uid) == [(0,), (0,)]
    assert anna.state() == ("Unexpired", second.expiration)
    assert anna.get() == second

    account.expire(anna.uid, 720)
    third = anna.get()
    assert third.expiration < second.expiration and town.requested(anna.uid) == [(0,)] * 3

    anna.revoke()
    assert town.requested(anna.uid) == [(1,)] * 3 + [(0,)]
    fourth = anna.get()
    assert fourth.config not in (first.config, second.config, third.config)
    assert fourth.expiration > third.expiration

    with pytest.raises(admin.refusal) as caught:
        admin.clean(anna.uid)
    check_refusal(caught.value, "ErrorAuditNotReadable", 400)
    assert anna.get() == fourth
    admin.clean(anna.uid, force=True)
    assert town.requested(anna.uid) == [(1,)] * 4
    assert anna.state()[0] == admin.holder_states()[anna.uid] == "Unexpired"

    town.attest(anna.uid)
    assert anna.state()[0] == "Removed"
    assert anna.uid not in admin.holder_states()
    assert anna.get().config not in (first.config, second.config, third.config, fourth.config)
    assert anna.state()[0] == "Unexpired"


def temporary_life(town: Town, join: Join) -> None:
    carol = join("carol")
    first = carol.get(minutes=15)
    assert carol.state() == ("Unexpired", first.expiration)
    assert carol.get(minutes=15) == first
    moved = "issued_at = issued_at - 1000, not_before = not_before - 1000, not_after = not_after - 1000, "
    tell(town.path, f"UPDATE credentials SET {moved} vouched_until = vouched_until - 1000 WHERE uid = ?", carol.uid)
    moved = "vouched_until = vouched_until - 1000, newest_not_after = newest_not_after - 1000"
    tell(town.path, f"UPDATE holdings SET {moved} WHERE uid = ?", carol.uid)
    state, ended = carol.state()
    assert state == "Expired" and ended < first.expiration
    second = carol.get(minutes=15)
    assert second.config != first.config
    assert carol.state() == ("Unexpired", second.expiration)


def errors_as_read(town: Town, join: Callable[[str], ByProgram]) -> None:
    gitta = join("gitta")
    with pytest.raises(Refused, match="TemporaryDurationMinutes") as caught:
        gitta.get(minutes=14)
    check_refusal(caught.value, "InvalidParameter", 400)
    assert caught.value.kind == "ClientError"
    with pytest.raises(Refused, match="the account itself") as caught:
        gitta.expire(gitta.uid, 720)
    check_refusal(caught.value, "StatusForbidden", 403)
    gitta.key["secret"] = "wrong"
    with pytest.raises(Refused, match=r"server StringToSign is \[ACS3-HMAC-SHA256") as caught:
        gitta.state()
    check_refusal(caught.value, "SignatureDoesNotMatch", 400)
    assert town.requested(gitta.uid) == []


def throttling_as_read(program: Program, installation: Installation) -> None:
    with serving(installation, key_rate_per_second="0.1", key_burst="1") as server:
        account = ByProgram(program, Town(installation, server, {"prod": "c1"}), installation.key)
        with pytest.raises(Refused, match="does not exist in this account") as first:
            account.get()
        with pytest.raises(Refused) as caught:
            account.get()
    check_refusal(first.value, "ErrorClusterNotFound", 404)
    check_refusal(caught.value, "Throttling.User", 400)
    assert caught.value.kind == "ThrottlingError"
    assert caught.value.retry_after_ms is not None and 1 <= caught.value.retry_after_ms <= 10_000


def cleaning_of_two_clusters(town: Town, join: Callable[[str], ByProgram]) -> None:
    kim, admin = join("kim"), join("lea")
    both = list(town.clusters.values())
    for cluster in both:
        kim.get(cluster=cluster)
    task_id = admin.ask("cleanAll", uid=kim.uid, clusters=both, force=True)["task_id"]
    assert task_id.startswith(f"clean-user-permissions-{kim.uid}-")
    task = finished(admin, task_id)
    assert task["state"] == "success"
    assert task["task_result"] == [{"data": cluster, "status": "success"} for cluster in both]
    assert town.requested(kim.uid) == [(1,), (1,)]
    for name in town.clusters:
        town.attest(kim.uid, name)
    assert [kim.state(name)[0] for name in town.clusters] == ["Removed", "Removed"]


def finished(person: ByProgram, task_id: str) -> Any:
    deadline = time.monotonic() + 20
    while (task := person.ask("task", task=task_id))["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.2)
    assert task["task_id"] == task_id
    return task


def check_refusal(error: Any, code: str, status: int) -> None:
    assert (error.code, error.status_code, len(error.request_id)) == (code, status, 36)
    assert error.request_id in error.message
