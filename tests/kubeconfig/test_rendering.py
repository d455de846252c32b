"""Kubeconfigs as text, read back by kubectl."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubecustody.kubeconfig.rendering import KubeconfigParts, NameStyle, render_kubeconfig

KUBECTL = Path(sys.executable).parent / "kubectl"
UID = "200000000000000001"
PARTS = KubeconfigParts(UID, "c1", "https://203.0.113.7:6443", b"server CA", b"certificate", b"key")


def read_back(*files: Path) -> Any:
    """What kubectl makes of these files, merged."""
    done = subprocess.run(
        [str(KUBECTL), "config", "view", "--raw", "-o", "json"],
        env={**os.environ, "KUBECONFIG": os.pathsep.join(map(str, files))},
        check=True,
        capture_output=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def write(folder: Path, name: str, parts: KubeconfigParts, names: NameStyle) -> Path:
    path = folder / name
    path.write_text(render_kubeconfig(parts, names))
    return path


def servers_by_context(document: Any) -> dict[str, tuple[str, str]]:
    """The server and the key that each context leads to."""
    clusters = {one["name"]: one["cluster"]["server"] for one in document["clusters"]}
    users = {one["name"]: one["user"]["client-key-data"] for one in document["users"]}
    return {
        one["name"]: (clusters[one["context"]["cluster"]], users[one["context"]["user"]])
        for one in document["contexts"]
    }


@pytest.mark.parametrize("names", NameStyle)
def test_kubectl_reads_back_every_part(tmp_path: Path, names: NameStyle) -> None:
    parts = PARTS._replace(tls_server_name="api.example", proxy_url="http://proxy.example:3128")
    document = read_back(write(tmp_path, "one", parts, names))
    (cluster,), (user,), (context,) = document["clusters"], document["users"], document["contexts"]
    assert cluster["cluster"] == {
        "server": PARTS.server,
        "certificate-authority-data": base64.b64encode(b"server CA").decode(),
        "tls-server-name": "api.example",
        "proxy-url": "http://proxy.example:3128",
    }
    assert user["user"] == {
        "client-certificate-data": base64.b64encode(b"certificate").decode(),
        "client-key-data": base64.b64encode(b"key").decode(),
    }
    assert context["name"] == document["current-context"] == f"{UID}-c1"
    assert context["context"] == {"cluster": cluster["name"], "user": user["name"]}


def test_names_of_the_provider_are_the_providers(tmp_path: Path) -> None:
    document = read_back(write(tmp_path, "one", PARTS, NameStyle.PROVIDER))
    assert (document["clusters"][0]["name"], document["users"][0]["name"]) == ("kubernetes", UID)


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    document = read_back(write(tmp_path, "one", PARTS._replace(server_ca=None), NameStyle.UNIQUE))
    assert document["clusters"][0]["cluster"] == {"server": PARTS.server}


def two_clusters(folder: Path, names: NameStyle) -> dict[str, tuple[str, str]]:
    other = PARTS._replace(cluster_id="c2", server="https://203.0.113.8:6443", private_key=b"other key")
    files = write(folder, "a", PARTS, names), write(folder, "b", other, names)
    return servers_by_context(read_back(*files))


def test_two_unique_files_merge_and_each_context_keeps_its_server_and_key(tmp_path: Path) -> None:
    assert two_clusters(tmp_path, NameStyle.UNIQUE) == {
        f"{UID}-c1": ("https://203.0.113.7:6443", base64.b64encode(b"key").decode()),
        f"{UID}-c2": ("https://203.0.113.8:6443", base64.b64encode(b"other key").decode()),
    }


def test_two_files_of_the_provider_merge_into_the_wrong_server(tmp_path: Path) -> None:
    """Why unique names are the default: kubectl keeps the first of equal names."""
    assert {server for server, _ in two_clusters(tmp_path, NameStyle.PROVIDER).values()} == {PARTS.server}


@pytest.mark.parametrize("uid", ["0", "012", "1e9", "200000000000000001", "0777"])
def test_a_uid_stays_text_for_any_reader_of_yaml(uid: str) -> None:
    document = yaml.safe_load(render_kubeconfig(PARTS._replace(uid=uid), NameStyle.PROVIDER))
    assert document["users"][0]["name"] == document["contexts"][0]["context"]["user"] == uid
