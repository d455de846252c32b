"""Clients that sign by the older ROA HMAC-SHA1, against a server."""

import base64
import hashlib
import hmac
import http.client
import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from test_observing import read_metrics, sample
from wire import call

from installations import Installation, free_port, serving


def ask(url: str, installation: Installation, method: str, path: str, *, nonce: str = "", **changes: Any) -> Any:
    """Status and body of a request as pop-core and the old Python SDK make it; the string that was signed, too."""
    headers = {
        "accept": "application/json",
        "date": changes.get("date") or formatdate(usegmt=True),
        "x-acs-signature-method": "HMAC-SHA1",
        "x-acs-signature-version": "1.0",
        "x-acs-version": "2015-12-15",
        **({"x-acs-signature-nonce": nonce} if nonce else {}),
    }
    lines = [method, headers["accept"], "", "", headers["date"]]
    lines += [f"{name}:{value}" for name, value in sorted(headers.items()) if name.startswith("x-acs-")]
    text = "\n".join([*lines, path])
    secret = changes.get("secret") or installation.key.secret
    digest = hmac.new(secret.encode(), text.encode(), hashlib.sha1).digest()
    headers["authorization"] = f"acs {installation.key.access_key_id}:{base64.b64encode(digest).decode()}"
    connection = http.client.HTTPConnection(url.partition("://")[2], timeout=10)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read()), text
    finally:
        connection.close()


STATES = "/users//kubeconfig/states?page_number=1&page_size=10"


def test_an_old_client_reads_and_may_ask_the_same_twice_within_a_second(installation: Installation) -> None:
    with serving(installation) as server:
        date = formatdate(usegmt=True)
        for _ in range(2):
            status, body, _ = ask(server.url, installation, "GET", STATES, date=date)
            assert (status, body["states"]) == (200, [])


def test_a_nonce_that_is_sent_is_taken_once(installation: Installation) -> None:
    with serving(installation) as server:
        assert ask(server.url, installation, "GET", STATES, nonce="n1")[0] == 200
        status, body, _ = ask(server.url, installation, "GET", STATES, nonce="n1")
        assert (status, body["Code"]) == (400, "SignatureNonceUsed")


def test_what_does_more_than_read_is_not_taken_by_default_and_once_where_it_is(installation: Installation) -> None:
    path = "/k8s/c1/certs"
    with serving(installation) as server:
        status, body, _ = ask(server.url, installation, "DELETE", path)
        assert (status, body["Code"]) == (400, "InvalidSignatureMethod")
    with serving(installation, legacy_signatures="on") as server:
        date = formatdate(usegmt=True)
        assert ask(server.url, installation, "DELETE", path, date=date)[1]["Code"] == "ErrorClusterNotFound"
        assert ask(server.url, installation, "DELETE", path, date=date)[1]["Code"] == "SignatureNonceUsed"


def test_off_is_off(installation: Installation) -> None:
    with serving(installation, legacy_signatures="off") as server:
        status, body, _ = ask(server.url, installation, "GET", STATES)
        assert (status, body["Code"]) == (400, "InvalidSignatureMethod")


def test_a_wrong_secret_is_told_with_the_string_that_old_clients_compare(installation: Installation) -> None:
    with serving(installation) as server:
        status, body, text = ask(server.url, installation, "GET", STATES, secret="guessed")
    assert (status, body["Code"]) == (400, "SignatureDoesNotMatch")
    assert body["Message"].partition("server string to sign is:")[2] == text


@pytest.mark.parametrize("date", ["Tue, 24 Nov 2026 03:00:42", "2026-11-24T03:00:42Z", formatdate(time.time() - 2000)])
def test_dates_are_told_in_the_form_of_their_header(installation: Installation, date: str) -> None:
    with serving(installation) as server:
        status, body, _ = ask(server.url, installation, "GET", STATES, date=date)
    assert (status, body["Code"].partition(".")[0]) == (400, "InvalidTimeStamp")
    assert "Date is" in body["Message"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_who_signs_the_older_way_can_be_found(installation: Installation, workers: str) -> None:
    """In the access log by key, in the metrics by operation; another way of signing is in neither."""
    port = free_port()
    with serving(installation, workers=workers, legacy_signatures="on", metrics_listen=f"127.0.0.1:{port}") as server:
        for method, path in (("GET", STATES), ("DELETE", "/k8s/c1/certs")):
            ask(server.url, installation, method, path)
        ask(server.url, installation, "GET", STATES, secret="guessed")
        assert call(server, installation.key).status == 200
        text = read_metrics(port)
    for operation in ("ListUserKubeConfigStates", "RevokeK8sClusterKubeConfig"):
        assert sample(text, "kubecustody_legacy_signatures_total", operation=operation) == 1
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert sorted((line["status"], line["legacy"]) for line in lines) == [
        (200, False),
        (200, True),
        (400, False),
        (404, True),
    ]
    assert {line["access_key_id"] for line in lines if line["legacy"]} == {installation.key.access_key_id}
