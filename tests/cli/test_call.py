"""`kubecustody call`: any operation, from the command line."""

import base64
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from commands import ESCAPES, Done, admin, refused, run, run_on_terminal

from installations import Installation, RunningServer, free_port, make_installation, serving

OPERATION = "ListUserKubeConfigStates"


class Place:
    """A served installation with one cluster, and what a caller needs in the environment."""

    def __init__(self, installation: Installation, server: RunningServer) -> None:
        self.installation = installation
        self.server = server
        self.env = {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": installation.key.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": installation.key.secret,
            "KUBECUSTODY_ENDPOINT": server.url,
        }

    def call(self, *words: str | Path, **env: str) -> Done:
        return run(self.installation, "call", *words, env=self.env | env)

    def refused(self, *words: str | Path, **env: str) -> str:
        return refused(self.installation, "call", *words, env=self.env | env)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    installation = make_installation(tmp_path_factory.mktemp("call"))
    admin(installation, "clusters", "add", "生产-eu")
    with serving(installation) as server:
        yield Place(installation, server)


def test_answer_is_json_unless_asked_otherwise(place: Place) -> None:
    done = place.call(OPERATION)
    assert (done.code, done.err) == (0, "")
    assert done.json["page"] == {"page_number": 1, "page_size": 50, "total_count": 1}
    assert "生产-eu" in done.out


def test_operation_and_parameters_are_taken_in_any_case(place: Place) -> None:
    uid = place.installation.account_id
    done = place.call(OPERATION.lower(), f"uid={uid}", "PAGE_SIZE=1", "detail=true")
    assert done.json["page"]["page_size"] == 1
    assert done.json["states"][0]["can_get_in"] == "no"


def test_table_shows_the_rows_and_the_page_apart(place: Place) -> None:
    done = place.call(OPERATION, "-o", "table")
    assert done.out.splitlines()[0].split()[0] == "cluster_name"
    assert "生产-eu" in done.out and "Unissued" in done.out
    assert "total_count: 1" in done.err
    assert not ESCAPES.search(done.out + done.err)


def test_colour_is_for_terminals_alone(place: Place) -> None:
    shown = run_on_terminal(
        ["call", OPERATION, "-o", "table"], place.installation.environment | place.env | {"TERM": "xterm-256color"}
    )
    assert shown.code == 0 and "\x1b[" in shown.out


def test_error_of_the_server_is_printed_as_it_came_with_exit_code_1(place: Place) -> None:
    done = place.call(OPERATION, "page_size=101")
    assert (done.code, done.out) == (1, "")
    assert '"Code": "InvalidParameter"' in done.err


def test_key_may_come_from_a_file_as_the_program_writes_it(place: Place, tmp_path: Path) -> None:
    out = tmp_path / "a.key"
    account = place.installation.account_id
    admin(place.installation, "keys", "add", account, "--out", out, "--reason", "test")
    empty = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": ""}
    assert place.call(OPERATION, "--key-file", out, "--endpoint", place.server.url, **empty).code == 0
    pairs = [line.split("=", 1) for line in out.read_text().splitlines()]
    out.write_text("".join(f'export {name}="{value}"\n' for name, value in pairs))
    assert place.call(OPERATION, "--key-file", out, "--endpoint", place.server.url, **empty).code == 0


def test_what_is_missing_is_told_with_where_to_put_it(place: Place) -> None:
    told = place.refused(OPERATION, ALIBABA_CLOUD_ACCESS_KEY_SECRET="")
    assert "set ALIBABA_CLOUD_ACCESS_KEY_SECRET, or name a --key-file" in told
    assert "set KUBECUSTODY_ENDPOINT (https://HOST:PORT), or say --endpoint" in place.refused(
        OPERATION, KUBECUSTODY_ENDPOINT=""
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["StealEverything"], f"There is no operation 'StealEverything'. There are: {OPERATION}, "),
        ([OPERATION, "colour=red"], "has no parameter 'colour'; it has Uid, page_number, page_size, detail, at."),
        ([OPERATION, "page_size"], "'page_size' is no NAME=VALUE."),
        ([OPERATION, "--endpoint", "localhost:8443"], "is no endpoint; it must be https://HOST[:PORT]"),
        ([OPERATION, "--endpoint", "https://x/api"], "without a path"),
        ([OPERATION, "--endpoint", "http://生产.example"], "must be ASCII"),
        ([OPERATION, "--endpoint", "http://x:port"], "is no endpoint"),
        ([OPERATION, "--key-file", "/nowhere"], "does not exist"),
        ([OPERATION, "--ca", "/nowhere"], "does not exist"),
    ],
)
def test_call_that_cannot_be_made_is_told(place: Place, words: list[str], told: str) -> None:
    assert told in place.refused(*words)


@pytest.mark.parametrize("key_id", ["ключ", "a\nb", "a b\x1b[31m"])
def test_key_id_that_cannot_be_one_is_told(place: Place, key_id: str) -> None:
    assert "access key id must be ASCII" in place.refused(OPERATION, ALIBABA_CLOUD_ACCESS_KEY_ID=key_id)


def test_key_file_that_is_none_is_told(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "a.key"
    file.write_bytes(b"\xff\xfe=\x00")
    assert "NAME=value lines" in place.refused(OPERATION, "--key-file", file)


def test_server_that_does_not_answer_is_told(place: Place) -> None:
    told = place.refused(OPERATION, "--endpoint", f"http://127.0.0.1:{free_port()}")
    assert "does not answer" in told and "Connection refused" in told


def test_untrusted_certificate_is_told_with_the_two_ways_to_trust_it(place: Place) -> None:
    installation = place.installation
    with serving(installation, tls="on") as server:
        told = place.refused(OPERATION, "--endpoint", server.url)
        assert "--ca FILE or SSL_CERT_FILE=FILE" in told
        root = installation.settings.tls_root_file
        assert place.call(OPERATION, "--endpoint", server.url, "--ca", root).code == 0
        assert place.call(OPERATION, "--endpoint", server.url, SSL_CERT_FILE=str(root)).code == 0
        wrong = place.refused(OPERATION, "--endpoint", server.url, "--ca", installation.settings.store_file)
        assert "cannot be read as a root certificate" in wrong
        told = place.refused(OPERATION, "--endpoint", server.url.replace("https", "http"))
        assert "does not answer" in told or "is it this API?" in told


class Stranger(BaseHTTPRequestHandler):
    """A server that is not this API, and means ill."""

    answer = b""
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("content-length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def stranger() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("status", [200, 400])
def test_answer_that_is_not_json_is_told(place: Place, stranger: str, status: int) -> None:
    Stranger.status, Stranger.answer = status, b"<html>\x1b[31m"
    told = place.refused(OPERATION, "--endpoint", stranger)
    assert "answers something that is not JSON; is it this API?" in told


@pytest.mark.parametrize("output", ["json", "table"])
@pytest.mark.parametrize("status", [200, 400])
def test_hostile_answer_does_nothing_to_a_terminal(place: Place, stranger: str, status: int, output: str) -> None:
    Stranger.status = status
    Stranger.answer = (
        '{"states":[{"cluster_name":"\\u001b[2J\x9b31m\u202e"}],"page":{"a\\u001b[0m":"\\u0007"}}'.encode()
    )
    done = place.call(OPERATION, "--endpoint", stranger, "-o", output)
    assert done.code == (1 if status == 400 else 0)
    assert not ESCAPES.search(done.out + done.err) and "\u202e" not in done.out + done.err


@pytest.mark.parametrize("answer", [b"[]", b"null", b'"text"', b"[1]", b'{"states":[1]}', b'{"states":[]}'])
def test_answer_of_another_shape_is_printed_and_no_crash(place: Place, stranger: str, answer: bytes) -> None:
    Stranger.status, Stranger.answer = 200, answer
    for output in ("json", "table"):
        assert place.call(OPERATION, "--endpoint", stranger, "-o", output).code == 0


def test_server_that_hangs_up_is_told(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: listener.accept()[0].close())
        thread.start()
        told = place.refused(OPERATION, "--endpoint", f"http://127.0.0.1:{listener.getsockname()[1]}")
        thread.join()
    assert "does not answer" in told


def test_secret_is_in_no_output(place: Place) -> None:
    secret = place.installation.key.secret
    for words in ([OPERATION], [OPERATION, "page_size=0"], [OPERATION, "--endpoint", "http://127.0.0.1:1"]):
        done = place.call(*words)
        assert secret not in done.out + done.err
        assert base64.b64encode(secret.encode()).decode() not in done.out + done.err
