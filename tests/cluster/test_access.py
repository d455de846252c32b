"""The way into a cluster: what of a kubeconfig is taken, and what is said where nothing is."""

import base64
import json
import logging
import ssl
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from kubecustody.cluster import tls
from kubecustody.cluster.access import (
    Access,
    AccessRefused,
    access_from_candidate,
    access_from_kubeconfig,
    dump_access,
    load_access,
)
from kubecustody.cluster.tls import Contexts, make_context
from kubecustody.kubeconfig.document import parse_kubeconfig
from kubecustody.pki.certificates import load_private_key
from kubecustody.pki.issuing import PemPair, make_ca, make_client_certificate

NOW = int(time.time())
CA = make_ca("server CA", NOW, 1)
PAIR = make_client_certificate(make_ca("client CA", NOW, 1), "kubecustody", (), NOW - 60, NOW + 600)
ENDPOINT = "https://192.0.2.1:6443"
SECRET = "canary-6b2e"


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


CLUSTER = {"server": ENDPOINT, "certificate-authority-data": encoded(CA.certificate)}
USER = {"client-certificate-data": encoded(PAIR.certificate), "client-key-data": encoded(PAIR.private_key)}


def kubeconfig(cluster: dict[str, Any] = CLUSTER, user: dict[str, Any] = USER, **more: Any) -> bytes:
    document = {
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "someone", "user": user}],
        "contexts": [{"name": "here", "context": {"cluster": "it", "user": "someone"}}],
        "current-context": "here",
    }
    return json.dumps({**document, **more}).encode()


def test_a_kubeconfig_with_everything_in_it_is_taken() -> None:
    named = {**CLUSTER, "tls-server-name": "cluster.example"}
    access = access_from_kubeconfig(kubeconfig(named))
    assert access == Access(ENDPOINT, CA.certificate, "cluster.example", None, PAIR.certificate, PAIR.private_key)
    assert access_from_kubeconfig(kubeconfig(named), context="here") == access
    without_ca = access_from_kubeconfig(kubeconfig({"server": f"{ENDPOINT}/"}))
    assert (without_ca.server_ca, without_ca.endpoint) == (None, ENDPOINT)


def test_a_token_takes_a_certificates_place() -> None:
    document = parse_kubeconfig(kubeconfig(user={"token": "abc"}))
    access = access_from_candidate(document.clusters[0], document.users[0], token="abc")
    assert (access.token, access.certificate, access.private_key) == ("abc", None, None)


REFUSED_CLUSTERS: dict[str, tuple[dict[str, Any], str]] = {
    "http": ({"server": "http://192.0.2.1"}, "https://"),
    "no server": ({"server": None}, "https://"),
    "user information": ({"server": f"https://admin:{SECRET}@192.0.2.1"}, "https://"),
    "query": ({"server": f"{ENDPOINT}/?{SECRET}"}, "https://"),
    "fragment": ({"server": f"{ENDPOINT}/#{SECRET}"}, "https://"),
    "dots": ({"server": f"{ENDPOINT}/k8s/../{SECRET}"}, "https://"),
    "port": ({"server": f"https://192.0.2.1:{SECRET}"}, "https://"),
    "short address": ({"server": "https://127.1"}, "DNS name"),
    "number": ({"server": "https://2130706433"}, "DNS name"),
    "beside brackets": ({"server": f"https://[::1]{SECRET}"}, "host or port"),
    "zone": ({"server": "https://[fe80::1%25eth0]"}, "own link"),
    "name": ({"tls-server-name": f"{SECRET} x"}, "DNS name"),
    "CA file": ({"certificate-authority": f"/{SECRET}"}, "--flatten"),
    "no CA in it": ({"certificate-authority-data": encoded(b"no PEM")}, "PEM"),
    "insecure": ({"insecure-skip-tls-verify": True}, "prove"),
    "proxy": ({"proxy-url": f"http://{SECRET}"}, "set here"),
}


@pytest.mark.parametrize("name", REFUSED_CLUSTERS)
def test_a_cluster_that_is_not_taken(name: str) -> None:
    members, said = REFUSED_CLUSTERS[name]
    with pytest.raises(AccessRefused, match=said) as refused:
        access_from_kubeconfig(kubeconfig({**CLUSTER, **members}))
    assert SECRET not in str(refused.value)


REFUSED_USERS: dict[str, tuple[dict[str, Any], str]] = {
    "exec": ({"exec": {"command": SECRET}}, "program"),
    "auth-provider": ({"auth-provider": {"name": SECRET}}, "auth-provider"),
    "token file": ({"tokenFile": f"/{SECRET}"}, "token"),
    "certificate file": ({"client-certificate": f"/{SECRET}", "client-key": f"/{SECRET}"}, "--flatten"),
    "key file": ({"client-certificate-data": USER["client-certificate-data"], "client-key": SECRET}, "--flatten"),
    "password": ({"username": "a", "password": SECRET}, "password"),
    "nothing": ({}, "no client certificate"),
    "no key": ({"client-certificate-data": USER["client-certificate-data"]}, "not taken"),
    "another's key": ({**USER, "client-key-data": encoded(CA.private_key)}, "another certificate"),
}


@pytest.mark.parametrize("name", REFUSED_USERS)
def test_a_user_that_is_not_taken(name: str) -> None:
    user, said = REFUSED_USERS[name]
    with pytest.raises(AccessRefused, match=said) as refused:
        access_from_kubeconfig(kubeconfig(user=user))
    assert SECRET not in str(refused.value)
    assert "PRIVATE KEY" not in str(refused.value)


def test_a_context_must_be_there_and_whole() -> None:
    with pytest.raises(AccessRefused, match="which context"):
        access_from_kubeconfig(kubeconfig(**{"current-context": ""}))
    with pytest.raises(AccessRefused, match="which context"):
        access_from_kubeconfig(kubeconfig(), context="there")
    broken = [{"name": "here", "context": {"cluster": "it", "user": "nobody"}}]
    with pytest.raises(AccessRefused, match="not in it"):
        access_from_kubeconfig(kubeconfig(contexts=broken))


def test_an_access_is_what_was_sealed_and_shows_no_secret() -> None:
    access = Access(f"{ENDPOINT}/k8s/clusters/c-1", CA.certificate, "a.example", SECRET, PAIR.certificate, b"-k-" * 9)
    assert load_access(dump_access(access)) == access
    assert load_access(dump_access(Access(ENDPOINT))) == Access(ENDPOINT)
    assert SECRET not in repr(access)
    assert "-k-" not in repr(access)
    for broken in (b"", b"[]", f'{{"endpoint": "{SECRET}"}}'.encode(), f'{{"{SECRET}": 1}}'.encode()):
        with pytest.raises(AccessRefused) as refused:
            load_access(broken)
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "ä", "a" * 20_000])
def test_a_token_is_what_a_header_can_hold(token: str) -> None:
    with pytest.raises(AccessRefused):
        Access(ENDPOINT, token=token)


def test_a_certificate_does_not_come_without_its_key() -> None:
    with pytest.raises(AccessRefused):
        Access(ENDPOINT, certificate=PAIR.certificate)


# --- TLS ----------------------------------------------------------------------------------------------------


def access_with(pair: PemPair) -> Access:
    return Access(ENDPOINT, CA.certificate, certificate=pair.certificate, private_key=pair.private_key)


def test_tls_settings_verify_the_server_and_are_made_once() -> None:
    contexts = Contexts(2)
    first = contexts.get(access_with(PAIR))
    assert (first.verify_mode, first.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert first.minimum_version is ssl.TLSVersion.TLSv1_2
    assert contexts.get(access_with(PAIR)) is first
    named = [contexts.get(Access(ENDPOINT, CA.certificate, name)) for name in ("a.example", "b.example")]
    assert named[0] is not named[1]
    assert contexts.get(access_with(PAIR)) is not first, "only so many are kept"


def test_keys_that_cannot_be_used_are_refused_and_nobody_is_asked_at_a_terminal() -> None:
    key = load_private_key(PAIR.private_key)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"passphrase"),
    )
    for private_key in (locked, b"no key", CA.private_key):
        with pytest.raises(AccessRefused) as refused:
            make_context(access_with(PemPair(PAIR.certificate, private_key)))
        assert "KEY" not in str(refused.value)
    with pytest.raises(AccessRefused):
        make_context(Access(ENDPOINT, b"no certificate"))


def test_without_memory_files_a_file_exists_for_a_moment_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The one thing that is taken away here is what other systems than Linux do not have.
    monkeypatch.delattr("os.memfd_create", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tls._say_once.cache_clear()
    for _ in range(2):
        assert make_context(access_with(PAIR)).verify_mode is ssl.CERT_REQUIRED
        with pytest.raises(AccessRefused):
            make_context(access_with(PemPair(PAIR.certificate, b"no key")))
    assert list(tmp_path.iterdir()) == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "temporary file" in caplog.text
