"""`kubecustody scan` as a process, on files that openssl and kubectl made, and on files made to hurt."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from commands import Done, run_process

from installations import PROGRAM
from kubeconfig.conftest import Kubectl
from pki.openssl import LEAF, Made, Openssl

ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


@pytest.fixture
def openssl(tmp_path: Path) -> Openssl:
    folder = tmp_path / "made"
    folder.mkdir()
    return Openssl(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def scan(*words: str | Path) -> Done:
    return run_process(["scan", *map(str, words)], ENVIRONMENT)


def rows(*words: str | Path) -> list[dict[str, Any]]:
    done = scan(*words, "-o", "json")
    assert (done.code, done.err) == (0, ""), done
    found: list[dict[str, Any]] = done.json
    return found


def write_kubeconfig(folder: Path, made: Made, *, embed: bool = True) -> Kubectl:
    """A kubeconfig with two contexts that join alice to two clusters."""
    kubectl = Kubectl(folder)
    kubectl.config("set-cluster", "blue", "--server=https://login:secret@blue.example:6443")
    kubectl.config("set-cluster", "red", "--server=https://red.example:6443")
    kubectl.config(
        "set-credentials",
        "alice",
        f"--client-certificate={made.certificate_path}",
        f"--client-key={made.key_path}",
        f"--embed-certs={str(embed).lower()}",
    )
    for name, cluster in (("one", "blue"), ("two", "blue"), ("three", "red")):
        kubectl.config("set-context", name, f"--cluster={cluster}", "--user=alice")
    return kubectl


def test_user_of_a_kubeconfig_is_a_row_for_each_cluster(openssl: Openssl, folder: Path) -> None:
    made = openssl.make("/O=system:users/O=dev/CN=2111-1795", end="20300102030405Z")
    write_kubeconfig(folder, made).path.chmod(0o640)
    blue, red = rows(folder)
    assert (blue["cluster"], blue["server"], blue["contexts"]) == ("blue", "https://blue.example:6443", ["one", "two"])
    assert (red["cluster"], red["contexts"]) == ("red", ["three"])
    for row in blue, red:
        assert (row["file"], row["user"]) == (str(folder / "config"), "alice")
        assert (row["common_name"], row["groups"]) == ("2111-1795", ["system:users", "dev"])
        assert (row["expires"], row["state"], row["masters"]) == ("2030-01-02T03:04:05Z", "valid", False)
        assert (row["key"], row["mode"], row["exposed"], row["remarks"]) == ("embedded", "0640", True, [])
        fingerprint = openssl.run("x509", "-in", made.certificate_path, "-noout", "-fingerprint", "-sha256")
        assert row["fingerprint"] == fingerprint.decode().partition("=")[2].strip().replace(":", "").lower()


def test_files_that_a_kubeconfig_names_are_read_and_the_mode_is_that_of_the_key(openssl: Openssl, folder: Path) -> None:
    made = openssl.make("/O=system:masters/CN=root")
    made.key_path.chmod(0o600)
    write_kubeconfig(folder, made, embed=False)
    (folder / "config").chmod(0o644)
    first, _ = rows(folder)
    assert (first["key"], first["mode"], first["exposed"]) == ("file", "0600", False)
    assert first["masters"] is True
    made.key_path.unlink()
    first, _ = rows(folder)
    assert (first["key"], first["remarks"]) == ("missing", ["The file that client-key names is not there."])
    made.certificate_path.unlink()
    first, _ = rows(folder)
    assert (first["state"], first["common_name"]) == ("no certificate", None)


def test_key_of_another_certificate_is_told(openssl: Openssl, folder: Path) -> None:
    mine, other = openssl.make("/CN=a"), openssl.make("/CN=b")
    write_kubeconfig(folder, Made(mine.certificate_path, other.key_path))
    assert {row["key"] for row in rows(folder)} == {"missing"}
    assert rows(folder)[0]["remarks"] == ["The private key belongs to another certificate."]


def test_user_without_certificate_is_a_row_that_says_how_they_get_in(folder: Path) -> None:
    kubectl = Kubectl(folder)
    kubectl.config("set-credentials", "robot", "--token=canary-token")
    kubectl.config(
        "set-credentials", "cloud", "--exec-command=/bin/false", "--exec-api-version=client.authentication.k8s.io/v1"
    )
    kubectl.path.chmod(0o644)
    done = scan(folder, "-o", "json")
    cloud, robot = done.json
    assert cloud["remarks"][0].startswith("It gets its credential from a program (exec)")
    assert (robot["state"], robot["exposed"], robot["key"]) == ("no certificate", True, None)
    assert robot["remarks"] == ["It has a bearer token, and a token is no certificate.", "No context uses it."]
    assert "canary-token" not in done.out + done.err


def test_client_certificates_are_found_and_those_of_cas_and_servers_are_not(openssl: Openssl, folder: Path) -> None:
    ca = openssl.make_ca()
    client = openssl.make("/O=dev/CN=a", by=ca, end="20260301000000Z")
    server = openssl.make("/CN=b", LEAF.replace("clientAuth", "serverAuth"), by=ca)
    no_usage = openssl.make("/CN=c", "basicConstraints=CA:FALSE\nsubjectAltName=DNS:c", by=ca)
    (folder / "bundle.pem").write_bytes(ca.certificate * 150 + server.certificate + no_usage.certificate)
    (folder / "admin.crt").write_bytes(client.certificate)
    (folder / "admin.key").write_bytes(client.key)
    (folder / "admin.key").chmod(0o604)
    (folder / "alone.der").write_bytes(openssl.run("x509", "-in", client.certificate_path, "-outform", "DER"))
    (folder / "both.pem").write_bytes(client.key + client.certificate)
    (folder / "both.pem").chmod(0o600)
    found = {Path(row["file"]).name: row for row in rows(folder)}
    assert set(found) == {"admin.crt", "alone.der", "both.pem"}
    assert {row["state"] for row in found.values()} == {"expired"}
    told = {name: (row["key"], row["mode"], row["exposed"]) for name, row in found.items()}
    assert told["admin.crt"] == ("file", "0604", True)
    assert told["both.pem"] == ("embedded", "0600", False)
    assert told["alone.der"][::2] == ("missing", False)


@pytest.mark.parametrize(
    ("subject", "end", "condition", "met"),
    [
        ("/CN=a", "20260301000000Z", "expired", True),
        ("/CN=a", "20360301000000Z", "expired", False),
        ("/CN=a", "20360301000000Z", "expires-within=30d", False),
        ("/CN=a", "20360301000000Z", "expires-within=9999d", True),
        ("/O=system:masters/CN=a", "20360301000000Z", "masters", True),
        ("/O=dev/CN=a", "20360301000000Z", "masters", False),
        ("/CN=a", "20360301000000Z", "unreadable", False),
        ("/CN=a", "20360301000000Z", "exposed", False),
    ],
)
def test_fail_if_decides_the_exit_code(
    openssl: Openssl, folder: Path, subject: str, end: str, condition: str, met: bool
) -> None:
    made = openssl.make(subject, end=end)
    (folder / "a.pem").write_bytes(made.certificate + made.key)
    (folder / "a.pem").chmod(0o600)
    done = scan(folder, "--fail-if", condition)
    assert (done.code, done.err) == ((3, f"Met: {condition}.\n") if met else (0, ""))
    assert "a.pem" in done.out


def test_wrong_conditions_and_paths_are_told(folder: Path) -> None:
    assert "is no condition: wanted is one of expired" in scan(folder, "--fail-if", "dead").err
    assert "write minutes, hours or days as 90m, 12h or 30d" in scan(folder, "--fail-if", "expires-within=x").err
    assert scan(folder, "--fail-if", "dead").code == scan(folder / "none").code == scan().code == 2
    assert scan(folder).out == "No kubeconfig and no client certificate.\n"


def test_every_form_of_the_answer_can_be_read_back(openssl: Openssl, folder: Path) -> None:
    made = openssl.make('/O=x,y/O="q"/CN==1*1')
    (folder / "a.pem").write_bytes(made.certificate)
    (row,) = rows(folder)
    assert json.loads(scan(folder, "-o", "ndjson").out) == row
    (line,) = csv.DictReader(io.StringIO(scan(folder, "-o", "csv").out))
    assert (line["common_name"], line["groups"], line["serial"]) == ("'=1*1", 'x,y; "q"', row["serial"])
    assert row["fingerprint"] not in scan(folder).out and "=1*1" in scan(folder).out


BOMB = "a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(20)) + "clusters: []\nusers: []\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "anchor or alias"),
        ("kind: Config\nusers: []\n", "names no users"),
        ("clusters: []\nusers: []\nusers: []\n", "a key stands twice"),
        ("clusters: []\nusers: [{name: a, user: {client-certificate-data: &x eA==}}]\n", "anchor or alias"),
        ("clusters:\nusers:\n\t- broken", "is not YAML"),
        ("clusters: []\nusers: [" + "[" * 100 + "]" * 100 + "]", "nested deeper"),
        ("clusters: []\nusers: [" + "1, " * 500_000 + "]", "more than 400000 values"),
        ("clusters: []\nusers: [{name: a}, {name: a}]", "a name that an earlier one has"),
    ],
)
def test_kubeconfig_that_is_not_taken_is_a_row_that_says_why(folder: Path, text: str, told: str) -> None:
    (folder / "config").write_text(text)
    (row,) = rows(folder)
    assert row["state"] == "unreadable"
    assert told in row["remarks"][0]
    assert scan(folder, "--fail-if", "unreadable").code == 3


def test_huge_kubeconfig_is_refused_without_being_read_whole(folder: Path) -> None:
    with (folder / "config").open("wb") as file:
        file.write(b"apiVersion: v1\nkind: Config\nclusters:\n")
        for _ in range(100):
            file.write(b"- {name: x}\n" * 87382)
    began = time.monotonic()
    (row,) = rows(folder)
    assert "larger than 16777216 bytes" in row["remarks"][0]
    assert time.monotonic() - began < 10


def test_other_files_are_passed_over(openssl: Openssl, folder: Path) -> None:
    (folder / "deployment.yaml").write_text("kind: ConfigMap\ndata: {users: a}\n")
    (folder / "values.yaml").write_text("users:\n- name: a\n")
    (folder / "key.pem").write_bytes(openssl.make_key().read_bytes())
    (folder / "binary").write_bytes(os.urandom(100_000) + b"\nclusters:\nusers:\n")
    (folder / "sequence").write_bytes(b"\x30\x82" + os.urandom(1000))
    (folder / "empty").touch()
    os.mkfifo(folder / "pipe")
    assert rows(folder) == []


def test_links_are_no_trap(openssl: Openssl, folder: Path) -> None:
    made = openssl.make("/CN=a")
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "back").symlink_to(folder)
    (deep / "up").symlink_to("..")
    (folder / "nowhere").symlink_to(folder / "gone")
    (deep / "a.pem").write_bytes(made.certificate)
    (folder / "same.pem").symlink_to(deep / "a.pem")
    (folder / "hard.pem").hardlink_to(deep / "a.pem")
    assert [row["file"] for row in rows(folder)] == [str(deep / "a.pem")]
    (folder / "loop").symlink_to(folder / "loop")
    assert [row["state"] for row in rows(folder)] == ["valid", "unreadable"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_what_may_not_be_read_is_told(openssl: Openssl, folder: Path) -> None:
    made = openssl.make("/CN=a")
    (folder / "a.pem").write_bytes(made.certificate)
    (folder / "a.pem").chmod(0)
    (folder / "closed").mkdir(mode=0o700)
    for above in (folder, *folder.parents):
        if above.stat().st_uid == 0 and above != Path("/") and above != Path("/tmp"):
            above.chmod(0o755)
    program = (
        "import difflib, os; import kubecustody.cli.scanning; from kubecustody.cli.main import main;"
        "os.setgid(65534); os.setuid(65534); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "scan", str(folder), "-o", "json"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = {Path(row["file"]).name: row["remarks"] for row in json.loads(done.stdout)}
    assert told == {
        "a.pem": ["The file cannot be read: Permission denied."],
        "closed": ["The folder cannot be read: Permission denied."],
    }


def test_interrupt_ends_it_without_a_traceback(folder: Path) -> None:
    for name in range(200):
        (folder / f"{name}").write_text("clusters: []\nusers: [" + "1, " * 390_000 + "]")
    process = subprocess.Popen(
        [*PROGRAM, "scan", str(folder)], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "\n")


def test_names_do_nothing_to_a_terminal(openssl: Openssl, folder: Path) -> None:
    made = openssl.make("/CN=a\x1b[31m")
    name = os.fsdecode(b"x\x1b[31m\xff.pem")
    (folder / name).write_bytes(made.certificate)
    for form in ("table", "json", "csv", "ndjson"):
        done = scan(folder, "-o", form)
        assert done.code == 0 and "\x1b" not in done.out
