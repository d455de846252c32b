"""Bodies as they should not be: each is a clear 400 that names every fault, and nothing changes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from wire import NO_ADDRESS_LIMIT, Answer, Place, add_user, call, check_error, exchange, sign, write_request

from custody.books import ask, contents
from installations import make_installation, serving
from kubecustody.custody.clusters import ClusterFields, add_cluster

HOURS = "must be an integer from 1 to 876000"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, str, str]]:
    """A server, a cluster id and a user's uid."""
    installation = make_installation(tmp_path_factory.mktemp("bodies"))
    cluster = installation.change(add_cluster, ClusterFields(name="only"))
    uid = add_user(installation, "alice").uid
    with serving(installation, **NO_ADDRESS_LIMIT, max_body_bytes="65536") as server:
        yield Place(installation, server), cluster, uid


Home = tuple[Place, str, str]


def send(home: Home, body: bytes) -> Answer:
    place, cluster, _ = home
    path = f"/k8s/{cluster}/user_config/expire"
    name = "UpdateK8sClusterUserConfigExpire"
    return call(place.server, place.installation.key, path, method="POST", body=body, action=name)


def refusal(home: Home, body: bytes, code: str) -> str:
    """The message, once it was checked that nothing changed."""
    place, _, _ = home
    before = contents(place.installation.settings.store_file)
    message = check_error(send(home, body), code, place.server.url)
    assert contents(place.installation.settings.store_file) == before
    return message


def stored_hours(home: Home) -> list[tuple[Any, ...]]:
    place, _, uid = home
    sql = "SELECT hours FROM custom_validities WHERE uid = ?"
    return ask(place.installation.settings.store_file, sql, uid)


@pytest.mark.parametrize("hours", [1, 720, 876_000, "720", 720.0, 7.2e2])
def test_a_good_body_is_taken_a_quoted_integer_too(home: Home, hours: Any) -> None:
    answer = send(home, json.dumps({"expire_hour": hours, "user": home[2], "unknown": [None, 1.5, {}]}).encode())
    assert (answer.status, answer.json) == (200, {})
    assert stored_hours(home) == [(int(hours),)]


@pytest.mark.parametrize(
    "hours", ["0", "-1", "876001", "1" + "0" * 30, "-" + "9" * 400, '""', '"text"', '"1.0"', '"-0"', '"\\u0661"']
)
def test_hours_out_of_bounds_are_refused(home: Home, hours: str) -> None:
    message = refusal(home, f'{{"expire_hour": {hours}, "user": "{home[2]}"}}'.encode(), "InvalidParameter")
    assert message.startswith("expire_hour: ") and HOURS in message and "user" not in message


@pytest.mark.parametrize("hours", ["true", "false", "null", "720.5", "1e400", "[]", "[720]", "{}"])
def test_hours_of_another_type_are_refused(home: Home, hours: str) -> None:
    message = refusal(home, f'{{"expire_hour": {hours}, "user": "{home[2]}"}}'.encode(), "InvalidParameter")
    assert "expire_hour: must be JSON of type integer" in message


@pytest.mark.parametrize("user", ["200000000000000001", "null", "true", "[]", "{}", '"alice"', '"1 OR 1"'])
def test_a_user_that_is_no_uid_in_text_is_refused(home: Home, user: str) -> None:
    message = refusal(home, f'{{"expire_hour": 720, "user": {user}}}'.encode(), "InvalidParameter")
    assert message.startswith("user: ")


@pytest.mark.parametrize("user", ['"\\ud800"', '"2\\uDFFF1"', '["\\ud83d"]'])
def test_half_of_a_surrogate_pair_is_no_text(home: Home, user: str) -> None:
    assert "surrogate" in refusal(home, f'{{"expire_hour": 720, "user": {user}}}'.encode(), "ErrorJsonDecode")


@pytest.mark.parametrize("levels", [32, 20_000])
@pytest.mark.parametrize("before", ["]" * 20_000, '\\"' + "]" * 40, "\\\\"])
def test_brackets_in_strings_hide_no_depth(home: Home, levels: int, before: str) -> None:
    body = b'{"z": "' + before.encode() + b'", "y": ' + b"[" * levels + b"]" * levels + b"}"
    assert "nested deeper" in refusal(home, body, "ErrorJsonDecode")


def test_brackets_in_strings_make_no_depth(home: Home) -> None:
    message = refusal(home, b'{"expire_hour": 720, "user": "\\"' + b"[" * 40 + b'"}', "InvalidParameter")
    assert message.startswith("user: ")


@pytest.mark.parametrize("body", [b"", b"{}", b" {} ", b'{"Expire_hour": 1, "USER": "1"}'])
def test_all_that_is_missing_is_named(home: Home, body: bytes) -> None:
    message = refusal(home, body, "InvalidParameter")
    assert "expire_hour: is mandatory" in message and "user: is mandatory" in message


def test_all_that_is_wrong_is_named(home: Home) -> None:
    message = refusal(home, b'{"expire_hour": true, "user": "alice"}', "InvalidParameter")
    assert "expire_hour: " in message and "user: " in message
    message = refusal(home, b'{"expire_hour": 0}', "InvalidParameter")
    assert HOURS in message and "user: is mandatory" in message


def test_an_empty_user_is_refused(home: Home) -> None:
    body = b'{"expire_hour": 720, "user": ""}'
    assert refusal(home, body, "InvalidParameter").startswith("user: ")


def test_a_user_who_never_was_is_told(home: Home) -> None:
    assert "299" in refusal(home, b'{"expire_hour": 720, "user": "299"}', "EntityNotExist.User")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", "JSON object"),
        (b'[{"expire_hour": 720}]', "JSON object"),
        (b"null", "JSON object"),
        (b"720", "JSON object"),
        (b'"text"', "JSON object"),
        (b" ", "not JSON at line 1"),
        (b"{", "not JSON at line 1"),
        (b'{"expire_hour": 720,}', "not JSON at line 1"),
        (b"{'expire_hour': 720}", "not JSON at line 1"),
        (b'{"expire_hour": 720}{}', "not JSON at line 1"),
        (b'{\n"expire_hour": 0720}', "not JSON at line 2"),
        (b"expire_hour=720&user=1", "not JSON at line 1"),
        (b'\xef\xbb\xbf{"expire_hour": 720}', "not JSON at line 1"),
        (b'{"expire_hour": 720, "user": "\xff"}', "not UTF-8 at byte 30"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8 at byte 0"),
        (b'{"user": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"expire_hour": NaN, "user": "1"}', "NaN"),
        (b'{"expire_hour": -Infinity, "user": "1"}', "Infinity"),
        (b'{"x": [Infinity]}', "Infinity"),
        (b'{"expire_hour": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"expire_hour": 720, "expire_hour": 1, "user": "1"}', "twice"),
        (b'{"expire_hour": 720, "user": "1", "user": "1"}', "twice"),
        (b'{"expire_hour": 720, "\\u0075ser": "1", "user": "2"}', "twice"),
        (b'{"x": {"y": [{"z": 1, "z": 1}]}}', "twice"),
        (b'{"x": ' + b"[" * 33 + b"]" * 33 + b"}", "deeper than 32"),
        (b"[" * 30_000, "deeper than 32"),
        (b'{"a":' * 10_000, "deeper than 32"),
        (b'{"user": "\x00"}', "not JSON at line 1"),
    ],
    ids=range(28),
)
def test_what_is_not_the_json_that_is_wanted_is_told(home: Home, body: bytes, words: str) -> None:
    assert words in refusal(home, body, "ErrorJsonDecode")


def test_a_body_that_is_too_large_is_told(home: Home) -> None:
    assert "65536" in refusal(home, b" " * 65_537, "RequestEntityTooLarge")


def test_a_body_in_chunks_is_read_as_one(home: Home) -> None:
    """The provider's Node SDK sends bodies in chunks."""
    place, cluster, uid = home
    body = json.dumps({"expire_hour": 345, "user": uid}).encode()
    path, name = f"/k8s/{cluster}/user_config/expire", "UpdateK8sClusterUserConfigExpire"
    signed = sign(place.server, place.installation.key, path, method="POST", body=body, action=name)
    head = write_request(signed, method="POST", added=[("transfer-encoding", "chunked")])
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:], b""))
    answer = exchange(place.server, head + chunks, "POST")
    assert (answer.status, answer.json) == (200, {})
    assert stored_hours(home) == [(345,)]


def test_a_body_beside_an_operation_that_takes_none_is_passed_over(home: Home) -> None:
    place, cluster, _ = home
    path = f"/clusters/{cluster}/kubeconfig/states"
    answer = call(
        place.server, place.installation.key, path, body=b'{"pageSize": [}', action="ListClusterKubeconfigStates"
    )
    assert answer.status == 200
