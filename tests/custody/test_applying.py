"""Which access takes the place of the one in use when a file of clusters is applied again."""

import base64
import json
from dataclasses import replace

import pytest

from kubecustody.cluster.access import Access
from kubecustody.custody.applying import is_another
from kubecustody.pki.client_certificates import KeyType, format_private_key, make_key
from kubecustody.pki.issuing import make_ca

PLACE = Access("https://prod.example.com:6443")


def token(name: str, begins_at: int) -> Access:
    claims = {"sub": f"system:serviceaccount:custody:{name}", "iat": begins_at, "exp": begins_at + 3600}
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return replace(PLACE, token=f"e30.{middle}.e30")


def certificate(name: str, begins_at: int) -> Access:
    pair = make_ca(name, begins_at, 1)
    return replace(PLACE, certificate=pair.certificate, private_key=format_private_key(make_key(KeyType.P256)))


@pytest.mark.parametrize("make", [token, certificate])
def test_what_the_one_in_use_was_renewed_from_does_not_take_its_place(make: object) -> None:
    assert callable(make)
    used = make("custody", 2_000)
    assert not is_another(used, used)
    assert not is_another(make("custody", 1_000), used)
    assert is_another(make("custody", 3_000), used)
    assert is_another(make("somebody-else", 1_000), used)
    assert is_another(replace(make("custody", 1_000), endpoint="https://other.example.com"), used)
    assert is_another(replace(make("custody", 1_000), tls_server_name="other.example.com"), used)


def test_a_token_without_an_end_is_another_where_it_is_not_the_same() -> None:
    used = replace(PLACE, token="abc")
    assert not is_another(replace(PLACE, token="abc"), used)
    assert is_another(replace(PLACE, token="abd"), used)
    assert is_another(token("custody", 1_000), used)
