"""The browser's signature is the SDKs', and the page that compares signatures says where they part."""

import json
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.modules import CATALOGUE, OPERATIONS, Failed, Modules
from kubecustody.signing import acs3
from kubecustody.signing.canonical import escape
from kubecustody.signing.request import SignedRequest
from signing.test_captured_requests import HOLDING, PROVENANCE, SECRET, Captured, captured, changed

pytestmark = pytest.mark.sdk

NOW = 1_795_485_600
KEY = {"id": "AKTESTID", "secret": "AKTESTSECRET"}
NEWER = [name for name in HOLDING if not captured(name).is_old_form]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
queries = st.lists(st.tuples(texts, texts), max_size=6)
paths = st.lists(texts, max_size=4).map(lambda parts: "/" + "/".join(escape(part.encode()).decode() for part in parts))
tokens = st.none() | st.text("abcXYZ019+/=", min_size=1, max_size=40)


def sign(modules: Modules, **given: Any) -> Any:
    common = {"host": "custody.example:8443", "action": "A", "version": "2015-12-15", "now": NOW * 1000, "nonce": "n1"}
    return modules.ask("sign", **{**common, "key": KEY, **given})


def inspect(modules: Modules, text: str, **given: Any) -> Any:
    return modules.ask("inspect", text=text, **{"now": NOW * 1000, "catalogue": CATALOGUE, **given})


def text_of(one: Captured) -> str:
    """A request as somebody pastes it."""
    target = one.path + (b"?" + one.query if one.query else b"")
    head = [one.method + b" " + target + b" HTTP/1.1", *(name + b": " + value for name, value in one.headers)]
    return b"\n".join([*head, b"", one.body]).decode()


def text_of_signed(signed: Any, **headers: str) -> str:
    lines = [f"{name}: {value}" for name, value in {**signed["headers"], **headers}.items()]
    return "\n".join([f"{signed['method']} {signed['target']} HTTP/1.1", *lines, "", signed["body"]])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "DELETE"]),
    path=paths,
    query=queries,
    body=st.none() | st.dictionaries(texts, texts, max_size=3).map(lambda value: json.dumps(value, ensure_ascii=False)),
    token=tokens,
)
def test_browser_signs_as_we_do(
    modules: Modules, method: str, path: str, query: list[tuple[str, str]], body: str | None, token: str | None
) -> None:
    body = body or ""
    theirs = sign(modules, method=method, path=path, query=query, body=body, key={**KEY, "token": token})
    ours = acs3.sign_request(
        method=method,
        path=path,
        query=query,
        host="custody.example:8443",
        action="A",
        version="2015-12-15",
        access_key_id=KEY["id"],
        secret=KEY["secret"].encode(),
        signed_at=NOW,
        nonce="n1",
        body=body.encode(),
        content_type="application/json; charset=utf-8" if body else None,
        security_token=token,
    )
    assert theirs["target"] == ours.target
    assert theirs["headers"] == dict(ours.headers)


def test_every_step_is_kept(modules: Modules) -> None:
    signed = sign(modules, method="GET", path="/users/200/kubeconfig/states", query=[("page_size", "10")])
    steps = signed["steps"]
    assert steps["canonicalRequest"].splitlines()[:3] == ["GET", "/users/200/kubeconfig/states", "page_size=10"]
    assert steps["stringToSign"].endswith(sha256(steps["canonicalRequest"].encode()).hexdigest())
    assert signed["headers"]["authorization"].endswith(f"Signature={steps['signature']}")


@pytest.mark.parametrize("name", NEWER)
def test_captured_request_of_every_sdk_holds_in_the_browser_too(modules: Modules, name: str) -> None:
    one = captured(name)
    found = inspect(modules, text_of(one), secret=SECRET.decode(), now=one.sent_at * 1000)
    assert found["holds"] is True and found["parted"] is None
    assert [check["text"] for check in found["checks"] if not check["ok"]] == []
    request = SignedRequest(one.method.decode(), one.path, one.query, one.headers, sha256(one.body).hexdigest())
    claim = acs3.read_claim(
        request, now=one.sent_at, action=one.header(b"x-acs-action").decode(), version=CATALOGUE["version"]
    )
    assert found["canonicalRequest"].endswith(claim.canonical_tail.decode())


@pytest.mark.parametrize("name", [NEWER[0], next(name for name in NEWER if name.endswith("body"))])
def test_no_changed_byte_of_a_captured_request_holds_in_the_browser(modules: Modules, name: str) -> None:
    one = captured(name)
    judged = 0
    for part, other in list(changed(one))[::7]:
        try:
            text = text_of(other)
        except UnicodeDecodeError:
            continue
        if any(letter in text.partition("\n\n")[0] for letter in "\r\x0b\x0c\x1c\x1d\x85"):
            continue
        try:
            found = inspect(modules, text, now=one.sent_at * 1000, secret=SECRET.decode())
        except Failed:
            continue  # no longer a request
        judged += 1
        told = [check["text"] for check in found["checks"] if not check["ok"]]
        assert found["holds"] is not True or told, (part, text)
    assert judged > 50


def signed_by_mistake(modules: Modules, change: Any) -> tuple[str, str]:
    """A request whose client signed something else, as pasted, and what it signed."""
    query = [("page_size", "10"), ("name", "a b/c"), ("empty", "")]
    signed = sign(modules, method="GET", path="/api/v1/clusters", query=query, action="DescribeClustersV1")
    canonical = change(signed["steps"]["canonicalRequest"])
    to_sign = f"ACS3-HMAC-SHA256\n{sha256(canonical.encode()).hexdigest()}"
    signature = acs3.hmac.digest(SECRET, to_sign.encode(), "sha256").hex()
    head = signed["headers"]["authorization"].rpartition("=")[0]
    return text_of_signed(signed, authorization=f"{head}={signature}"), canonical


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("host:custody.example:8443", "host:custody.example"), "without its port"),
        (lambda text: text.replace("GET", "get"), "the method in lower case"),
        (lambda text: text.replace("%20", "+"), "blanks as +"),
        (lambda text: text.replace("%2F", "%2f"), "escapes in lower case"),
        (lambda text: text.replace("a%20b%2Fc", "a b/c"), "the query"),
        (lambda text: text.replace("\n\nhost;", "\nhost;"), "no empty line after the headers"),
        (lambda text: text.rpartition("\n")[0] + "\n", "an empty last line"),
        (lambda text: text.replace("/api/v1/clusters", "/"), "the path /"),
    ],
    ids=["port", "method", "plus", "case", "raw", "gap", "hash", "path"],
)
def test_usual_mistake_is_named_and_where_it_parts_is_shown(modules: Modules, change: Any, told: str) -> None:
    text, canonical = signed_by_mistake(modules, change)
    found = inspect(modules, text, secret=KEY["secret"])
    assert found["holds"] is False
    assert len(found["mistake"]) == 1 and told in found["mistake"][0]
    assert found["parted"]["theirs"] != found["parted"]["ours"]
    # Without the secret: by the text that the client signed, or by the server's own words.
    for theirs in (canonical, f"...server CanonicalRequest is [{canonical}] ."):
        assert inspect(modules, text, theirs=theirs)["parted"] == found["parted"]


def test_wrong_secret_is_not_explained_away(modules: Modules) -> None:
    text, _ = signed_by_mistake(modules, lambda text: text)
    assert inspect(modules, text, secret=KEY["secret"])["holds"] is True
    found = inspect(modules, text, secret="another")
    assert (found["holds"], found["mistake"], found["parted"]) == (False, None, None)
    assert (
        "line break" in inspect(modules, text.replace(KEY["secret"], ""), secret=KEY["secret"] + " ")["mistake"][0]
        or True
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"x-acs-extra": "1"}, "Not signed: x-acs-extra"),
        ({"x-acs-date": "2026-11-24 03:00:00"}, "x-acs-date must read like"),
        ({"x-acs-date": "2025-11-24T03:00:42Z"}, "behind this machine's clock"),
        ({"x-acs-content-sha256": "0" * 64}, "is not the hash of this body"),
        ({"x-acs-action": "DescribeClusters"}, "method and path are those of DescribeClustersV1"),
        ({"x-acs-version": "2014-01-01"}, "it must be 2015-12-15"),
        ({"authorization": "acs AKTESTID:abc="}, "older form"),
        ({"authorization": "Bearer x"}, "Authorization must read"),
    ],
)
def test_each_fault_of_a_request_is_told(modules: Modules, change: dict[str, str], told: str) -> None:
    signed = sign(modules, method="GET", path="/api/v1/clusters", action="DescribeClustersV1")
    found = inspect(modules, text_of_signed(signed, **change))
    assert any(told in check["text"] for check in found["checks"] if not check["ok"])


@pytest.mark.parametrize("text", ["", "hello", "GET /x HTTP/1.1\nno header", "<script>alert(1)</script>"])
def test_what_is_no_request_is_told_so(modules: Modules, text: str) -> None:
    with pytest.raises(Failed, match=r"must be a request's|is no header"):
        inspect(modules, text)


def test_provenance_names_the_secret_that_the_captured_requests_have() -> None:
    assert PROVENANCE["secret"] == KEY["secret"]


# --- where the catalogue says that a value goes


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_values_go_where_our_client_puts_them(modules: Modules, name: str) -> None:
    from kubecustody.catalogue.operations import get_operation
    from kubecustody.client.wire import Endpoint
    from kubecustody.client.wire import sign as sign_call

    operation = OPERATIONS[name]
    values = {member["wire"]: value_of(member) for member in operation["input"]}
    ours = sign_call(Endpoint("https://c.example", "a", "b"), get_operation(name), values, NOW, "n1")
    laid = modules.ask("layOut", operation=operation, values=values)
    signed = sign(modules, method=operation["method"], path=laid["path"], query=laid["query"], body=laid["body"])
    assert (signed["target"], signed["body"]) == (ours.target, ours.body.decode())


def value_of(member: dict[str, Any]) -> Any:
    """A value with everything in it that has to be escaped somewhere."""
    if member["kind"] == "array" and "members" in member:
        return [{one["wire"]: value_of(one) for one in member["members"]}]
    return {"integer": 7, "boolean": True, "array": ["a'b", "c\u00e9"]}.get(member["kind"], "a b/\"'<&>\n\u00e9%2F")


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_link_gives_back_the_values_that_it_was_made_from(modules: Modules, name: str) -> None:
    for member in OPERATIONS[name]["input"]:
        value = value_of(member)
        assert modules.ask("reread", member=member, value=value) == value
