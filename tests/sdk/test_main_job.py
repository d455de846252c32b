"""The provider's own SDK lists what a person holds, from certificates and kubeconfigs that others made."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from alibabacloud_cs20151215 import models
from alibabacloud_cs20151215.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config
from real_fleet import Fleet, Making

from installations import RunningServer
from kubecustody.catalogue.operations import get_operation
from kubecustody.client import Endpoint
from kubecustody.client.calls import call_operation

pytestmark = [
    pytest.mark.sdk,
    # The SDK leaves its pooled connections to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Ask = Callable[..., Any]
ROW = {"cluster_id", "cert_expire_time", "cert_state", "cluster_state", "cluster_name"}


def client_of(server: RunningServer, key: tuple[str, str], ca: str | None = None) -> Client:
    protocol, _, address = server.url.partition("://")
    return Client(
        Config(
            access_key_id=key[0],
            access_key_secret=key[1],
            endpoint=address,
            protocol=protocol,
            region_id="local",
            ca=ca,
        )
    )


def ask_sync(client: Client, uid: str, **page: int) -> Any:
    return client.list_user_kube_config_states(uid, models.ListUserKubeConfigStatesRequest(**page))


def ask_async(client: Client, uid: str, **page: int) -> Any:
    request = models.ListUserKubeConfigStatesRequest(**page)
    return asyncio.run(client.list_user_kube_config_states_async(uid, request))


@pytest.fixture(params=[ask_sync, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    chosen: Ask = request.param
    return chosen


def states_of(answer: Any) -> dict[str, str]:
    return {row.cluster_name: row.cert_state for row in answer.body.states}


def test_one_persons_rows_in_all_five_states(fleet: Fleet, plain: RunningServer, ask: Ask) -> None:
    answer = ask(client_of(plain, fleet.keys["auditor"]), fleet.uids["alice"])
    rows = {name: state for name, state in fleet.rows.items() if name != "flipping"}
    assert {name: state for name, state in states_of(answer).items() if name != "flipping"} == rows
    assert set(rows.values()) == {"Unissued", "Unexpired", "Expired", "Removed", "Unknown"}
    assert {row.cluster_state for row in answer.body.states} == {"running"}
    assert answer.status_code == 200
    assert len(answer.headers["x-acs-request-id"]) == 36


def test_every_expiry_is_what_openssl_reads_in_the_certificate(fleet: Fleet, plain: RunningServer, ask: Ask) -> None:
    answer = ask(client_of(plain, fleet.keys["auditor"]), fleet.uids["alice"])
    compared = 0
    for row in answer.body.states:
        path = fleet.certificates.get(row.cluster_name)
        if path is None:
            assert row.cert_expire_time == ""
            continue
        command = ["openssl", "x509", "-enddate", "-noout", "-in", str(path)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        ends = datetime.strptime(told.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
        assert row.cert_expire_time == ends.strftime("%Y-%m-%dT%H:%M:%SZ")
        compared += 1
    assert compared >= 5


def test_empty_uid_is_the_caller(fleet: Fleet, plain: RunningServer, ask: Ask) -> None:
    own = ask(client_of(plain, fleet.keys["alice"]), "")
    named = ask(client_of(plain, fleet.keys["auditor"]), fleet.uids["alice"])
    assert own.body.to_map() == named.body.to_map()
    others = ask(client_of(plain, fleet.keys["auditor"]), "")
    assert set(states_of(others).values()) == {"Unissued"}


def test_pages_together_are_the_whole_list(fleet: Fleet, plain: RunningServer, ask: Ask) -> None:
    client = client_of(plain, fleet.keys["auditor"])
    whole = ask(client, fleet.uids["alice"])
    total = whole.body.page.total_count
    assert (whole.body.page.page_number, whole.body.page.page_size, len(whole.body.states)) == (1, 50, total)
    rows: list[Any] = []
    for number in range(1, total + 2):
        page = ask(client, fleet.uids["alice"], page_number=number, page_size=4)
        assert page.body.page.to_map() == {"page_number": number, "page_size": 4, "total_count": total}
        rows += [row.to_map() for row in page.body.states]
    assert rows == [row.to_map() for row in whole.body.states]


# --- trusting the certificate of the server


def test_https_with_our_root_as_the_configs_ca(fleet: Fleet, secure: RunningServer, ask: Ask) -> None:
    root = str(fleet.installation.settings.tls_root_file)
    answer = ask(client_of(secure, fleet.keys["auditor"], ca=root), fleet.uids["alice"])
    assert states_of(answer)["good"] == "Unexpired"


ONE_CALL = """
import sys
sys.path[:0] = sys.argv[1].split(":")
import test_main_job as job
from installations import RunningServer
server = RunningServer(sys.argv[2], None, None)
ask = getattr(job, sys.argv[3])
print(job.states_of(ask(job.client_of(server, (sys.argv[4], sys.argv[5])), sys.argv[6]))["good"])
"""


def call_apart(fleet: Fleet, secure: RunningServer, ask: Ask, **environment: str) -> subprocess.CompletedProcess[str]:
    """One call in a process of its own: what a program trusts is settled when it starts."""
    here = os.path.dirname(__file__)  # noqa: PTH120
    arguments = [f"{here}:{os.path.dirname(here)}", secure.url, ask.__name__]  # noqa: PTH120
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT")}
    return subprocess.run(
        [sys.executable, "-c", ONE_CALL, *arguments, *fleet.keys["auditor"], fleet.uids["alice"]],
        env={**plain, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_https_with_our_root_in_ssl_cert_file(fleet: Fleet, secure: RunningServer, ask: Ask) -> None:
    done = call_apart(fleet, secure, ask, SSL_CERT_FILE=str(fleet.installation.settings.tls_root_file))
    assert (done.stdout, done.returncode) == ("Unexpired\n", 0), done.stderr


def test_https_without_our_root_is_refused_by_the_client(fleet: Fleet, secure: RunningServer, ask: Ask) -> None:
    done = call_apart(fleet, secure, ask)
    assert done.returncode != 0
    assert "CERTIFICATE_VERIFY_FAILED" in done.stderr


def test_our_root_vouches_for_no_other_host(fleet: Fleet, secure: RunningServer) -> None:
    """nameConstraints: a thief of the root's key cannot pass for another site."""
    command = ["openssl", "x509", "-noout", "-text", "-in", str(fleet.installation.settings.tls_root_file)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "X509v3 Name Constraints: critical" in told and "DNS:localhost" in told
    assert ssl.create_default_context(cafile=str(fleet.installation.settings.tls_root_file))


# --- errors as the SDK's users see them


def refused(ask: Ask, client: Client, uid: str, **page: int) -> ClientException:
    with pytest.raises(ClientException) as caught:
        ask(client, uid, **page)
    error = caught.value
    assert isinstance(error, ClientException)
    assert len(error.request_id) == 36
    assert error.request_id in error.message
    assert error.data["requestId"] == error.data["RequestId"] == error.request_id
    return error


def test_who_has_no_policy_is_told_so_with_details(fleet: Fleet, plain: RunningServer, ask: Ask) -> None:
    error = refused(ask, client_of(plain, fleet.keys["nobody"]), fleet.uids["alice"])
    assert (error.code, error.status_code) == ("StatusForbidden", 403)
    assert "RAM policy Forbidden for action cs:ListUserKubeConfigStates" in error.message
    assert error.access_denied_detail == {
        "AuthAction": "cs:ListUserKubeConfigStates",
        "AuthPrincipalDisplayName": fleet.uids["nobody"],
        "AuthPrincipalOwnerId": fleet.installation.account_id,
        "AuthPrincipalType": "SubUser",
        "NoPermissionType": "ImplicitDeny",
        "PolicyType": "AccountLevelIdentityBasedPolicy",
    }


def test_wrong_secret_is_told(fleet: Fleet, plain: RunningServer, ask: Ask) -> None:
    error = refused(ask, client_of(plain, (fleet.keys["auditor"][0], "wrong")), fleet.uids["alice"])
    assert (error.code, error.status_code) == ("SignatureDoesNotMatch", 400)
    assert "server StringToSign is [" in error.message
    assert error.access_denied_detail is None


def test_unknown_key_is_told(fleet: Fleet, plain: RunningServer, ask: Ask) -> None:
    error = refused(ask, client_of(plain, ("LTAIunknown", "wrong")), fleet.uids["alice"])
    assert (error.code, error.status_code) == ("InvalidAccessKeyId.NotFound", 404)


def test_unknown_uid_is_told(fleet: Fleet, plain: RunningServer, ask: Ask) -> None:
    error = refused(ask, client_of(plain, fleet.keys["auditor"]), "299999999999999999")
    assert (error.code, error.status_code) == ("EntityNotExist.User", 404)
    assert "299999999999999999" in error.message


def test_page_size_beyond_its_bound_is_told(fleet: Fleet, plain: RunningServer, ask: Ask) -> None:
    error = refused(ask, client_of(plain, fleet.keys["auditor"]), fleet.uids["alice"], page_size=101)
    assert (error.code, error.status_code) == ("InvalidParameter", 400)
    assert "page_size: is 101; it must be an integer from 1 to 100." in error.message


# --- the bytes


def test_answer_without_detail_has_the_providers_members_no_more_and_no_less(
    fleet: Fleet, plain: RunningServer
) -> None:
    endpoint = Endpoint(plain.url, *fleet.keys["auditor"])
    operation, uid = get_operation("ListUserKubeConfigStates"), fleet.uids["alice"]
    body = call_operation(endpoint, operation, {"Uid": uid}).body
    assert set(body) == {"states", "page"}
    assert set(body["page"]) == {"page_number", "page_size", "total_count"}
    assert body["states"] and all(set(row) == ROW for row in body["states"])
    sdks = ask_sync(client_of(plain, fleet.keys["auditor"]), uid).body.to_map()
    assert json.dumps(sdks, sort_keys=True) == json.dumps(body, sort_keys=True)


def test_detail_adds_members_and_changes_none(fleet: Fleet, plain: RunningServer) -> None:
    endpoint = Endpoint(plain.url, *fleet.keys["auditor"])
    operation, uid = get_operation("ListUserKubeConfigStates"), fleet.uids["alice"]
    without = call_operation(endpoint, operation, {"Uid": uid}).body["states"]
    detailed = call_operation(endpoint, operation, {"Uid": uid, "detail": "true"}).body["states"]
    assert [{name: row[name] for name in ROW} for row in detailed] == without
    assert all(len(row) > len(ROW) for row in detailed)
    by_name = {row["cluster_name"]: row for row in detailed}
    assert "bindings deleted by hand" in by_name["cleaned"]["cert_state_reason"]
    assert by_name["renewed"]["live_credential_count"] == 1


# --- the clock alone


def test_row_flips_from_unexpired_to_expired_at_its_second(making: Making, fleet: Fleet, plain: RunningServer) -> None:
    """No answer says Unexpired after not_after, nor Expired at or before it (RFC 5280 4.1.2.5)."""
    making.give_one_that_ends_soon()
    client = client_of(plain, fleet.keys["auditor"])
    page = {"page_number": len(fleet.rows), "page_size": 1}
    seen: set[str] = set()
    while time.time() < fleet.flips_at + 1.5:
        before = time.time()
        (row,) = ask_sync(client, fleet.uids["alice"], **page).body.states
        after = time.time()
        assert row.cluster_name == "flipping"
        seen.add(row.cert_state)
        if row.cert_state == "Unexpired":
            assert before <= fleet.flips_at, before - fleet.flips_at
        else:
            assert row.cert_state == "Expired" and after > fleet.flips_at, after - fleet.flips_at
        time.sleep(0.005 if abs(fleet.flips_at - after) < 1 else 0.1)
    assert seen == {"Unexpired", "Expired"}
