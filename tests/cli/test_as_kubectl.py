"""An administrator's kubeconfig is read as kubectl reads it, and what is unsafe is refused with another way."""

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubecustody.cli.as_kubectl import kubeconfig_files, read_admin_context
from kubecustody.core.errors import OperatorError
from kubecustody.pki.issuing import make_ca, make_client_certificate

CA = make_ca("an admin's CA", int(time.time()), 1)
PAIR = make_client_certificate(CA, "admin", ["admins"], int(time.time()), int(time.time()) + 3600)
SECRET = "a-secret-that-nothing-may-repeat"
V1 = "client.authentication.k8s.io/v1"

Edit = Callable[[dict[str, Any], dict[str, Any]], object]


def write(folder: Path, edit: Edit = lambda cluster, user: None, name: str = "prod") -> Path:
    """A kubeconfig whose CA and certificate lie beside it, with its cluster and user changed."""
    (folder / "ca.crt").write_bytes(CA.certificate)
    (folder / "me.crt").write_bytes(PAIR.certificate)
    (folder / "me.key").write_bytes(PAIR.private_key)
    cluster = {"server": "https://192.0.2.1:6443", "certificate-authority": "ca.crt"}
    user: dict[str, Any] = {"client-certificate": "me.crt", "client-key": "me.key"}
    edit(cluster, user)
    document = {
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": f"admin@{name}", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"admin@{name}"}}],
        "current-context": name,
    }
    file = folder / f"{name}.config"
    file.write_text(yaml.safe_dump(document))
    return file


def program(folder: Path, text: str, **more: Any) -> Edit:
    """A user who is said by this program."""
    path = folder / "plugin"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)

    def edit(_: dict[str, Any], user: dict[str, Any]) -> None:
        user.clear()
        user["exec"] = {"apiVersion": V1, "command": "./plugin", **more}

    return edit


def credential(**status: str) -> str:
    return "echo " + "'" + json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}) + "'"


def test_files_are_read_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    found = read_admin_context([write(tmp_path)], None)
    assert (found.context, found.cluster_name) == ("prod", "prod")
    assert found.access.server_ca == CA.certificate
    assert found.access.certificate == PAIR.certificate and found.access.private_key == PAIR.private_key


def test_of_several_files_each_context_is_there(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    files = [write(folders[0]), write(folders[1], name="stage")]
    assert read_admin_context(files, None).context == "prod", "of the first file that has a current one"
    assert read_admin_context(files, "stage").cluster_name == "stage"
    with pytest.raises(OperatorError, match="There are: prod, stage"):
        read_admin_context(files, "nowhere")


def test_the_files_are_those_of_kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = write(tmp_path)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/gone:{there}")
    assert kubeconfig_files(None) == [there]
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(OperatorError, match="--kubeconfig FILE"):
        kubeconfig_files(None)


def test_the_token_of_a_file_goes_before_that_of_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-the-file\n")

    def edit(_: dict[str, Any], user: dict[str, Any]) -> None:
        user.clear()
        user.update(token="from-the-kubeconfig", tokenFile="token")

    assert read_admin_context([write(tmp_path, edit)], None).access.token == "from-the-file"


def test_a_program_is_told_what_kubectl_tells_it(tmp_path: Path) -> None:
    text = f'printf %s "$KUBERNETES_EXEC_INFO" > {tmp_path}/info; echo "$1 $WHERE" > {tmp_path}/said\n'
    edit = program(
        tmp_path,
        text + credential(token="a-token"),
        args=["first"],
        env=[{"name": "WHERE", "value": "here"}],
        provideClusterInfo=True,
        interactiveMode="Never",
    )
    assert read_admin_context([write(tmp_path, edit)], None).access.token == "a-token"
    assert (tmp_path / "said").read_text() == "first here\n"
    info = json.loads((tmp_path / "info").read_text())
    cluster = {
        "server": "https://192.0.2.1:6443",
        "certificate-authority-data": base64.b64encode(CA.certificate).decode(),
    }
    assert info == {"apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False, "cluster": cluster}}


BAD_PROGRAMS = {
    "ends badly": ("exit 3", "exit code 3"),
    "no JSON": (f"echo {SECRET}", "no JSON"),
    "no credential": ("echo '{}'", "no ExecCredential"),
    "no status": ('echo \'{"kind": "ExecCredential"}\'', "no ExecCredential with a status"),
    "another version": (credential(token=SECRET).replace("/v1", "/v1beta1"), "another apiVersion"),
    "nothing in it": (credential(), "client certificate"),
    "no token": (credential(token=f"{SECRET}\\u0007"), "token"),
    "no certificate": (credential(clientCertificateData=SECRET, clientKeyData=SECRET), "certificate"),
    "without end": ("yes " + SECRET + " | head -c 3000000", "more than"),
}


@pytest.mark.parametrize("name", BAD_PROGRAMS)
def test_a_program_that_answers_badly_is_told_of_without_its_words(tmp_path: Path, name: str) -> None:
    text, said = BAD_PROGRAMS[name]
    with pytest.raises(OperatorError) as refused:
        read_admin_context([write(tmp_path, program(tmp_path, text))], None)
    assert said in str(refused.value) and SECRET not in str(refused.value)


def test_a_program_that_is_not_there_or_unknown_is_told_of(tmp_path: Path) -> None:
    for members, said in (
        ({"command": "surely-not-installed", "installHint": "Install it so."}, "Install it so."),
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "apiVersion"),
        ({"interactiveMode": "Always"}, "terminal"),
        ({"args": "no list"}, "exec.args"),
    ):
        edit = program(tmp_path, "exit 0", **members)
        with pytest.raises(OperatorError, match=said):
            read_admin_context([write(tmp_path, edit)], None)


REFUSED: dict[str, tuple[Edit, str]] = {
    "insecure": (lambda c, u: c.update(**{"insecure-skip-tls-verify": True}), "prove who it is"),
    "proxy": (lambda c, u: c.update(**{"proxy-url": f"http://{SECRET}"}), "--print"),
    "http": (lambda c, u: c.update(server="http://192.0.2.1"), "https"),
    "as somebody": (lambda c, u: u.update(**{"as": SECRET}), "--print"),
    "auth-provider": (lambda c, u: u.update(**{"auth-provider": {"name": SECRET}}), "exec plugin"),
    "password": (lambda c, u: u.update(username="me", password=SECRET), "certificate or a token"),
    "no such file": (lambda c, u: u.update(**{"client-key": "gone"}), "No such file"),
    "a folder": (lambda c, u: c.update(**{"certificate-authority": "."}), "cannot be read"),
    "base64": (lambda c, u: u.update(**{"client-certificate-data": "!" + SECRET}), "base64"),
    "another key": (
        lambda c, u: u.update(**{"client-key-data": base64.b64encode(CA.private_key).decode()}),
        "another certificate",
    ),
    "nobody": (lambda c, u: u.clear(), "client certificate"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_unsafe_or_broken_is_refused_with_another_way(tmp_path: Path, name: str) -> None:
    edit, said = REFUSED[name]
    with pytest.raises(OperatorError) as refused:
        read_admin_context([write(tmp_path, edit)], None)
    assert said in str(refused.value) and SECRET not in str(refused.value)
