"""What docs/explanation/life-without-a-crl.md says of an API server: what unbinding ends, and what it leaves."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from control_plane.control_plane import MASTERS, ControlPlane
from control_plane.identities import Identity, client_context
from control_plane.keeping import BINDINGS, KUBE_SYSTEM, role_binding, statuses
from control_plane.waiting import eventually

pytestmark = pytest.mark.control_plane

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
LAST = "made-after"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@contextmanager
def bound(plane: ControlPlane, user: str, role: str = "cluster-admin") -> Iterator[str]:
    """The path of a binding of the user, gone after the block."""
    path = f"{BINDINGS}/{user}"
    assert plane.ask("POST", BINDINGS, body=role_binding(user, user, role=role)).status == 201
    try:
        yield path
    finally:
        plane.ask("DELETE", path)


def let_in(plane: ControlPlane, person: Identity) -> None:
    eventually(lambda: set(statuses(plane, person)) == {200})


def shut_out(plane: ControlPlane, person: Identity) -> None:
    eventually(lambda: set(statuses(plane, person)) == {403})


def test_who_is_unbound_is_refused_by_every_api_server_a_moment_later(control_plane: ControlPlane) -> None:
    person = control_plane.issue("4711-1")
    with bound(control_plane, "4711-1") as path:
        let_in(control_plane, person)
        control_plane.ask("DELETE", path)
        begun = time.monotonic()
        shut_out(control_plane, person)
    assert time.monotonic() - begun < 5


def test_who_is_unbound_may_still_do_what_every_authenticated_user_may(control_plane: ControlPlane) -> None:
    person = control_plane.issue("4711-2")
    assert control_plane.whoami(person).document["username"] == "4711-2"
    for path, status in (
        ("/version", 200),
        ("/apis", 200),
        ("/openapi/v3", 200),
        ("/api/v1/pods", 403),
        ("/metrics", 403),
    ):
        assert control_plane.ask("GET", path, person).status == status, path
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "secrets"}}}
    answer = control_plane.ask("POST", REVIEWS, person, body=review)
    assert (answer.status, answer.document["status"]["allowed"]) == (201, False)


def test_a_watch_that_is_open_goes_on_and_a_new_one_is_refused(control_plane: ControlPlane) -> None:
    person, seen = control_plane.issue("4711-3"), list[str]()
    parts = urlsplit(control_plane.url)
    connection = HTTPSConnection(
        str(parts.hostname), parts.port, context=client_context(control_plane.server_ca, person.pair)
    )
    with closing(connection), bound(control_plane, "4711-3") as path:
        let_in(control_plane, person)
        connection.request("GET", f"{CONFIG_MAPS}?watch=true&timeoutSeconds=30")
        watch = connection.getresponse()
        reader = threading.Thread(target=follow, args=(watch, seen), daemon=True)
        reader.start()
        control_plane.ask("DELETE", path)
        shut_out(control_plane, person)
        control_plane.ask("POST", CONFIG_MAPS, body={"metadata": {"name": LAST}, "data": {"secret": "yes"}})
        try:
            eventually(lambda: LAST in seen)
            reader.join(10)
            assert control_plane.ask("GET", f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1", person).status == 403
        finally:
            control_plane.ask("DELETE", f"{CONFIG_MAPS}/{LAST}")


def follow(watch: Any, seen: list[str]) -> None:
    """Note the names of what a watch tells of, up to the last."""
    while LAST not in seen:
        seen.append(json.loads(watch.readline())["object"]["metadata"]["name"])


def test_what_they_made_while_they_might_is_theirs_still(control_plane: ControlPlane) -> None:
    person = control_plane.issue("4711-4")
    with bound(control_plane, "4711-4") as path, bound(control_plane, "system:serviceaccount:default:left-behind"):
        let_in(control_plane, person)
        control_plane.ask("POST", ACCOUNTS, person, body={"metadata": {"name": "left-behind"}})
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        made = control_plane.ask("POST", f"{ACCOUNTS}/left-behind/token", person, body=request)
        token = Identity(token=made.document["status"]["token"])
        control_plane.ask("DELETE", path)
        shut_out(control_plane, person)
        try:
            assert control_plane.ask("GET", KUBE_SYSTEM, token).status == 200
        finally:
            control_plane.ask("DELETE", f"{ACCOUNTS}/left-behind")
        eventually(lambda: control_plane.ask("GET", KUBE_SYSTEM, token).status == 401)


def test_no_unbinding_reaches_a_member_of_masters(control_plane: ControlPlane) -> None:
    master = control_plane.issue("4711-5", groups=[MASTERS])
    assert set(statuses(control_plane, master)) == {200}
    listed = control_plane.ask("GET", BINDINGS).document["items"]
    assert "4711-5" not in json.dumps(listed)
