"""Where readers begin: with nothing but the program, or where the tutorial ends."""

import contextlib
import re
import shutil
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from documentation.blocks import ROOT, blocks_of, commands_of
from documentation.reading import Reader, reader
from kubecustody.cli.control_plane import format_kubeconfig
from kubecustody.pki.issuing import DAY_SECONDS, make_ca, make_client_certificate

TUTORIAL = ROOT / "docs" / "tutorial" / "first-answer.md"
AFTER_THE_TUTORIAL = re.compile(r"where the \[tutorial\]\(\.\./tutorial/first-answer\.md\)")
# The commands of the tutorial after which a shell is what it was, and the server there again.
AGAIN = ("export ", "kubecustody serve", "set -a", "until ")


@dataclass
class Ended:
    """What the tutorial left, stopped, and all that was told until then."""

    folder: Path
    port: int
    told: str


@dataclass
class RealCluster:
    """An admin's kubeconfig for clusters, with contexts as the pages name them, and the programs of a control plane."""

    kubeconfig: str
    programs: Path


def do_tutorial(folder: Path) -> Ended:
    """Go through the whole tutorial."""
    with reader(folder / "reader", folder / "home") as one:
        one.read(blocks_of(TUTORIAL))
        return Ended(one.folder, one.port, one.told)


@contextlib.contextmanager
def where_it_ends(ended: Ended, folder: Path, given: Mapping[str, str]) -> Iterator[Reader]:
    """A reader who has done the tutorial, and did not stop it."""
    shutil.copytree(ended.folder, folder / "reader")
    with reader(folder / "reader", folder / "home", given, port=ended.port) as one:
        for command in (command for block in blocks_of(TUTORIAL) for command in commands_of(block)):
            if command.text.startswith(AGAIN):
                one.follow_command(command, "the tutorial")
        one.told = ended.told
        yield one


def give_a_clusters_files(folder: Path, home: Path) -> None:
    """What whoever reads the README has of a cluster: its client CA with key, its server CA, a file of somebody's."""
    now = int(time.time())
    people, servers = make_ca("prod-eu client CA", now, 365), make_ca("prod-eu server CA", now, 365)
    (folder / "ca.pem").write_bytes(people.certificate)
    (folder / "ca-key.pem").write_bytes(people.private_key)
    (folder / "ca-key.pem").chmod(0o600)
    (folder / "server-ca.pem").write_bytes(servers.certificate)
    pair = make_client_certificate(people, "alice", ["developers"], now, now + 90 * DAY_SECONDS)
    user = {
        f"client-{name}-data": b64encode(text).decode()
        for name, text in (("certificate", pair.certificate), ("key", pair.private_key))
    }
    (home / "kubeconfigs").mkdir()
    (home / "kubeconfigs" / "alice").write_text(format_kubeconfig(user, server="https://prod-eu.example.com:6443"))


@contextlib.contextmanager
def beginning(
    page: Path, folder: Path, tutorial: Callable[[], Ended], cluster: RealCluster | None = None
) -> Iterator[Reader]:
    """A reader of this page, who has what it says that it begins with, and may be the admin of a real cluster."""
    home = folder / "home"
    home.mkdir()
    given = {}
    if cluster is not None:
        (home / ".kube").mkdir()
        (home / ".kube" / "config").write_text(cluster.kubeconfig)
        given = {"KUBECUSTODY_CLUSTER_NETWORKS": "127.0.0.0/8", "KUBEBUILDER_ASSETS": str(cluster.programs)}
    if AFTER_THE_TUTORIAL.search(" ".join(page.read_text().split())):
        begun = where_it_ends(tutorial(), folder, given)
    else:
        begun = reader(folder / "reader", home, given)
    with begun as one:
        if page == ROOT / "README.md":
            give_a_clusters_files(one.folder, home)
        yield one
