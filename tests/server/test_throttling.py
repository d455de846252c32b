"""Limits per key and per address: who is told to wait is told how long, and that is true."""

import time
from pathlib import Path

from wire import add_user, call, check_error, get_plain

from installations import Installation, make_installation, serving
from kubecustody.catalogue.policies import READ_ONLY_ACCESS
from kubecustody.custody.policies import set_attachment


def test_key_over_its_limit_waits_as_long_as_told_and_no_longer(installation: Installation) -> None:
    with serving(installation, key_rate_per_second="2", key_burst="3") as server:
        answers = [call(server, installation.key) for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 400]
        message = check_error(answers[3], "Throttling.User", server.url)
        wait_ms = int(answers[3].header("x-acs-retry-after"))
        assert 1 <= wait_ms <= 500
        assert f"limit per access key). Try again in {wait_ms} ms." in message
        assert call(server, installation.key).status == 400
        time.sleep(wait_ms / 1000)
        assert call(server, installation.key).status == 200
        assert call(server, installation.key).status == 400


def test_limit_of_one_key_is_not_felt_by_another(installation: Installation) -> None:
    other = add_user(installation, "other")
    installation.change(set_attachment, READ_ONLY_ACCESS, attached=True, user=other.uid)
    with serving(installation, key_rate_per_second="0.1", key_burst="1") as server:
        assert [call(server, installation.key).status for _ in range(2)] == [200, 400]
        assert [call(server, other).status for _ in range(2)] == [200, 400]


def test_throttled_request_keeps_its_nonce(installation: Installation) -> None:
    with serving(installation, key_rate_per_second="2", key_burst="1") as server:
        assert call(server, installation.key).status == 200
        refused = call(server, installation.key, nonce="kept")
        time.sleep(int(refused.header("x-acs-retry-after")) / 1000)
        assert (refused.status, call(server, installation.key, nonce="kept").status) == (400, 200)


def test_nobody_spends_the_limit_of_a_key_without_its_secret(installation: Installation) -> None:
    with serving(installation, key_rate_per_second="0.1", key_burst="1") as server:
        for _ in range(5):
            check_error(call(server, installation.key, secret=b"guessed"), "SignatureDoesNotMatch", server.url)
        assert call(server, installation.key).status == 200


def test_address_with_too_many_failed_signatures_waits_as_long_as_told(installation: Installation) -> None:
    with serving(installation, failed_signature_rate_per_second="2", failed_signature_burst="3") as server:
        for _ in range(3):
            check_error(call(server, installation.key, secret=b"guessed"), "SignatureDoesNotMatch", server.url)
        assert call(server, installation.key).status == 200
        refused = call(server, installation.key, secret=b"guessed")
        assert "limit per address, for failed signatures" in check_error(refused, "Throttling.User", server.url)
        assert get_plain(server, "/healthz").status == 200
        time.sleep(int(refused.header("x-acs-retry-after")) / 1000)
        check_error(call(server, installation.key, secret=b"guessed"), "SignatureDoesNotMatch", server.url)


def test_failures_of_one_address_are_not_felt_by_another_behind_the_same_proxy(tmp_path: Path) -> None:
    installation = make_installation(tmp_path)
    limits = {"failed_signature_rate_per_second": "0.01", "failed_signature_burst": "2"}
    with serving(installation, **limits, trusted_proxies="127.0.0.1") as server:
        from_a, from_b = [("x-forwarded-for", "192.0.2.1")], [("x-forwarded-for", "192.0.2.2")]
        for _ in range(2):
            call(server, installation.key, secret=b"guessed", added=from_a)
        again = {"secret": b"guessed"}
        check_error(call(server, installation.key, added=from_a, **again), "Throttling.User", server.url)
        check_error(call(server, installation.key, added=from_b, **again), "SignatureDoesNotMatch", server.url)
        assert call(server, installation.key, added=from_a).status == 200


def test_rate_of_zero_sets_no_limit(installation: Installation) -> None:
    with serving(installation, key_rate_per_second="0", key_burst="1") as server:
        assert {call(server, installation.key).status for _ in range(20)} == {200}
