"""`kubecustody get kubeconfig`: one's own kubeconfig, into a file, a pipe or the file that kubectl reads."""

import base64
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import ESCAPES, Done, run, run_on_terminal

from client.faulty import answer, error, faulty
from custody.books import ask, check_books, tell
from installations import AUTHOR, Installation, RunningServer, make_installation, serving
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster, delete_cluster
from kubecustody.custody.installation import Custody
from kubecustody.custody.policies import put_policy, set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal
from kubecustody.custody.signers import make_signer
from kubecustody.pki.certificates import key_matches, load_certificates, load_private_key
from sdk.real_fleet import KUBECTL

EVERYTHING = '{"Version":"1","Statement":[{"Effect":"Allow","Action":["cs:*","kubecustody:*"],"Resource":"*"}]}'
GET_ALONE = (
    '{"Version":"1","Statement":[{"Effect":"Allow","Action":"cs:DescribeClusterUserKubeconfig","Resource":"*"}]}'
)
FOREIGN = """\
# my own, in an order of my own
current-context:   home
kind: Config
apiVersion: v1
users:
  - name: me
    user: {token: "hunter2-hunter2"}   # do not lose

contexts:
  - context: {user: me, cluster: home}
    name: home
clusters:
  - name: home
    cluster:
        server: https://home.example:6443
"""


@dataclass
class Village:
    """A served installation, its clusters by name, and keys by person."""

    installation: Installation
    server: RunningServer
    clusters: dict[str, str]
    people: dict[str, NewAccessKey] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return self.installation.settings.store_file

    def add(self, name: str, policy: str) -> str:
        uid: str = self.installation.change(add_principal, kind=PrincipalKind.USER, name=name)
        self.installation.change(put_policy, f"of-{name}", policy)
        self.installation.change(set_attachment, f"of-{name}", attached=True, user=name)
        self.people[name] = self.installation.change(add_access_key, name)
        return uid

    def env(self, name: str, home: Path, **more: str) -> dict[str, str]:
        """The environment of a person, whose home is this folder."""
        key = self.people[name]
        return {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret,
            "KUBECUSTODY_ENDPOINT": self.server.url,
            "HOME": str(home),
            "KUBECONFIG": "",
            **more,
        }

    def issued(self, name: str) -> int:
        ((count,),) = ask(self.path, "SELECT COUNT(*) FROM credentials WHERE uid = ?", self.people[name].uid)
        return int(count)


@dataclass
class Person:
    """Somebody with a home of their own, who runs the command."""

    village: Village
    name: str
    home: Path

    @property
    def config(self) -> Path:
        return self.home / ".kube" / "config"

    @property
    def issued(self) -> int:
        return self.village.issued(self.name)

    def get(self, *words: str | Path, **env: str) -> Done:
        done = run(
            self.village.installation, "get", "kubeconfig", *words, env=self.village.env(self.name, self.home, **env)
        )
        secret = self.village.people[self.name].secret
        assert secret not in done.out + done.err and not ESCAPES.search(done.err)
        assert "client-key-data: LS0" not in done.err and "PRIVATE KEY" not in done.out + done.err
        return done

    def got(self, *words: str | Path, **env: str) -> str:
        """What is said on standard error by a command that must succeed and print nothing."""
        done = self.get(*words, **env)
        assert (done.code, done.out) == (0, ""), done
        return done.err

    def refused(self, *words: str | Path, code: int = 2, **env: str) -> str:
        done = self.get(*words, **env)
        assert (done.code, done.out) == (code, ""), done
        return done.err


@pytest.fixture(scope="module")
def village(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    installation = make_installation(tmp_path_factory.mktemp("village"))
    clusters = {}
    for name in ("prod", "生产-eu"):
        fields = ClusterFields(
            name=name, public_endpoint="https://203.0.113.7:6443", private_endpoint="https://10.0.0.7:6443"
        )
        clusters[name] = installation.change(add_cluster, fields)
        installation.change(make_signer, clusters[name])
    with serving(installation) as server:
        village = Village(installation, server, clusters)
        village.add("alice", EVERYTHING)
        village.add("bob", GET_ALONE)
        yield village
    check_books(installation.settings.store_file)


@pytest.fixture
def alice(village: Village, tmp_path: Path) -> Person:
    return Person(village, "alice", tmp_path)


@pytest.fixture
def newcomer(village: Village, tmp_path: Path, request: pytest.FixtureRequest) -> Person:
    """Somebody who holds nothing yet."""
    name = f"newcomer-{len(village.people)}"
    village.add(name, EVERYTHING)
    return Person(village, name, tmp_path)


def kubectl(config: Path | str, *words: str) -> str:
    environment = {**os.environ, "KUBECONFIG": str(config)}
    command = [str(KUBECTL), "config", *words]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment)
    return done.stdout.strip()


def user_of(text: str, name: str = "") -> dict[str, Any]:
    users = yaml.safe_load(text)["users"]
    return next(one["user"] for one in users if one["name"].startswith(name))


def backups(file: Path) -> list[Path]:
    return sorted(file.parent.glob(f"{file.name}.backup-*"))


# --- into a file


def test_file_is_for_its_owner_alone_and_kubectl_reads_it(alice: Person) -> None:
    out = alice.home / "new" / "prod.kubeconfig"
    said = alice.got(alice.village.clusters["prod"], "--out", out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.parent.stat().st_mode & 0o777 == 0o700
    assert said.splitlines()[0] == f"Wrote {out}."
    assert said.splitlines()[1].startswith("It is valid until 20") and said.endswith("Z.\n")
    context = kubectl(out, "current-context")
    assert context == f"{alice.village.people['alice'].uid}-{alice.village.clusters['prod']}"
    assert "https://203.0.113.7:6443" in kubectl(out, "view", "--minify")
    assert not alice.config.exists()


def test_file_that_was_there_is_kept_beside_it(alice: Person) -> None:
    out = alice.home / "mine"
    out.write_bytes(b"something of mine\r\n\xff")
    out.chmod(0o644)
    alice.got("prod", "--out", out)
    (backup,) = backups(out)
    assert backup.read_bytes() == b"something of mine\r\n\xff"
    assert {file.stat().st_mode & 0o777 for file in (out, backup)} == {0o600}
    before = out.read_bytes()
    alice.got("prod", "--out", out)
    assert out.read_bytes() == before and backups(out) == [backup]


def test_address_and_life_are_as_asked_for(alice: Person) -> None:
    long, short, intranet = (alice.home / name for name in ("long", "short", "intranet"))
    alice.got("prod", "--out", long)
    alice.got("prod", "--minutes", "15", "--out", short)
    alice.got("prod", "--private-address", "--out", intranet)
    lives = [life_of(file.read_text()) for file in (long, short)]
    assert lives[0] > 86400 > lives[1] >= 15 * 60
    assert "https://10.0.0.7:6443" in intranet.read_text() and "203.0.113.7" not in intranet.read_text()


def life_of(text: str) -> int:
    (certificate, *_) = load_certificates(base64.b64decode(user_of(text)["client-certificate-data"]))
    return int(certificate.not_after - certificate.not_before)


@pytest.mark.parametrize("minutes", ["14", "4321", "0", "-1"])
def test_life_out_of_bounds_is_refused_by_the_server(alice: Person, minutes: str) -> None:
    told = alice.refused("prod", "--minutes", minutes, "--out", alice.home / "x", code=1)
    assert told.startswith("InvalidParameter (400): ") and "TemporaryDurationMinutes" in told
    assert "15" in told and "4320" in told and "Request id: " in told
    assert list(alice.home.iterdir()) == []


@pytest.mark.parametrize("words", [("--out", "/proc/nowhere/x"), ("--merge", "--kubeconfig", "/proc/nowhere/x")])
@pytest.mark.parametrize("local", [(), ("--local-key",)])
def test_nothing_is_issued_where_it_could_not_be_written(newcomer: Person, words: Any, local: Any) -> None:
    told = newcomer.refused("prod", *words, *local)
    assert "/proc/nowhere/x cannot be written: " in told and "Name another file." in told
    assert newcomer.issued == 0


def test_link_that_leads_in_a_circle_is_told(newcomer: Person) -> None:
    circle = newcomer.home / "circle"
    circle.symlink_to(circle)
    for words in (("--out", circle), ("--merge", "--kubeconfig", circle)):
        assert "Too many levels of symbolic links" in newcomer.refused("prod", *words)
    assert newcomer.issued == 0


# --- to standard output


def test_a_pipe_gets_it_where_that_is_said(alice: Person) -> None:
    out = alice.home / "file"
    alice.got("prod", "--out", out)
    done = alice_pipe(alice, "prod", "--out", "-")
    assert (done.code, done.out) == (0, out.read_text())
    assert done.err.startswith("It is valid until ")


def alice_pipe(alice: Person, *words: str) -> Done:
    return run(alice.village.installation, "get", "kubeconfig", *words, env=alice.village.env(alice.name, alice.home))


def test_a_pipe_gets_no_secret_unasked(newcomer: Person) -> None:
    told = newcomer.refused("prod")
    assert told == (
        "Error: This prints a secret, and standard output is no terminal. Name a file for it: --out FILE (mode 0600).\n"
    )
    assert newcomer.issued == 0


def test_a_terminal_shows_it(alice: Person) -> None:
    env = alice.village.installation.environment | alice.village.env("alice", alice.home)
    shown = run_on_terminal(["get", "kubeconfig", "prod"], env)
    assert shown.code == 0 and "client-key-data" in user_of(shown.out)


# --- into the file that kubectl reads


def test_merging_makes_the_file_that_kubectl_reads(alice: Person) -> None:
    said = alice.got("prod", "--merge")
    assert alice.config.stat().st_mode & 0o777 == 0o600
    assert alice.config.parent.stat().st_mode & 0o777 == 0o700
    assert f"Merged into {alice.config}.\n" in said and "backup" not in said
    assert "current-context is " in said
    cluster_id = alice.village.clusters["prod"]
    assert kubectl(alice.config, "get-clusters").splitlines() == ["NAME", cluster_id]


def test_merging_keeps_every_byte_of_others(alice: Person) -> None:
    alice.config.parent.mkdir()
    alice.config.write_text(FOREIGN)
    said = alice.got("prod", "--merge")
    after = alice.config.read_text()
    added = iter(after.splitlines(keepends=True))
    assert all(line in added for line in FOREIGN.splitlines(keepends=True))  # each, in this order
    (backup,) = backups(alice.config)
    assert backup.read_text() == FOREIGN
    assert f"Merged into {alice.config}. The file before is {backup}." in said
    assert "hunter2" not in said
    assert kubectl(alice.config, "current-context") == "home"
    assert len(kubectl(alice.config, "get-contexts", "-o", "name").splitlines()) == 2
    assert "client-key-data" in user_of(after, alice.village.people["alice"].uid)


@pytest.mark.parametrize("before", [None, "# mine\n", "apiVersion: v1\nkind: Config\n"])
def test_current_context_of_another_file_stays(alice: Person, tmp_path: Path, before: str | None) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    second.write_text(FOREIGN)
    if before is not None:
        first.write_text(before)
    named = f"{first}{os.pathsep}{second}"
    said = alice.got("prod", "--merge", "--kubeconfig", first, KUBECONFIG=named)
    assert "current-context stays as it is" in said
    assert "current-context:" not in first.read_text() and "client-key-data" in first.read_text()
    assert second.read_text() == FOREIGN
    assert kubectl(named, "current-context") == "home"
    assert len(kubectl(named, "get-contexts", "-o", "name").splitlines()) == 2
    again = alice.got("prod", "--merge", "--kubeconfig", first, KUBECONFIG=named)
    assert "holds it already" in again


def test_merging_twice_changes_nothing(alice: Person) -> None:
    alice.got("prod", "--merge")
    before = alice.config.read_bytes()
    assert alice.got("prod", "--merge").splitlines()[0] == f"{alice.config} holds it already."
    assert alice.config.read_bytes() == before and backups(alice.config) == []


def test_a_second_cluster_is_put_beside_the_first(alice: Person) -> None:
    alice.got("prod", "--merge")
    first = kubectl(alice.config, "current-context")
    alice.got("生产-eu", "--merge")
    assert kubectl(alice.config, "current-context") == first
    names = kubectl(alice.config, "get-clusters").splitlines()[1:]
    assert sorted(names) == sorted(alice.village.clusters[name] for name in ("prod", "生产-eu"))


def test_renewed_one_replaces_the_user_alone(newcomer: Person) -> None:
    newcomer.got("prod", "--merge")
    before = newcomer.config.read_text()
    uid = newcomer.village.people[newcomer.name].uid
    # Into its last third: of 390 days it then has 90 left.
    sql = "UPDATE credentials SET issued_at = issued_at - 300 * 86400 WHERE uid = ?"
    tell(newcomer.village.path, sql, uid)
    said = newcomer.got("prod", "--merge")
    after = newcomer.config.read_text()
    changed = [
        old.split(":")[0].strip()
        for old, new in zip(before.splitlines(), after.splitlines(), strict=True)
        if old != new
    ]
    assert changed == ["client-certificate-data", "client-key-data"]
    cluster_id = newcomer.village.clusters["prod"]
    assert said.splitlines()[:3] == [
        f"cluster {cluster_id} is there already and equal",
        f"context {uid}-{cluster_id} is there already and equal",
        f"replaced user {uid}-{cluster_id}",
    ]
    (backup,) = backups(newcomer.config)
    assert backup.read_text() == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"clusters: [", "The file is not YAML on line 1. Mend it there. Or: Use `--out FILE` instead"),
        (b"a: b\nclusters:\n\t- x\n", "The file is not YAML on line 3: a tab stands there"),
        (b"- a\n", "Not merged, and nothing is changed: the file is no mapping with clusters and users (line 1)"),
        (b"a: \xff\n", "is not UTF-8 at byte 3"),
        (b"a: 1\n---\nb: 2\n", "a second document begins (line 2)"),
    ],
)
def test_broken_file_is_left_as_it_is_and_nothing_issued(newcomer: Person, content: bytes, told: str) -> None:
    newcomer.config.parent.mkdir()
    newcomer.config.write_bytes(content)
    assert told in newcomer.refused("prod", "--merge")
    assert newcomer.config.read_bytes() == content and backups(newcomer.config) == []
    assert newcomer.issued == 0


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ("token: hunter2-hunter2", "is there without"),
        ("client-certificate-data: LS0tLS1, token: hunter2-hunter2", "token"),
        ("exec: {command: hunter2-hunter2}", "is there without"),
    ],
)
def test_entry_of_a_stranger_under_our_name_is_left_as_it_is(alice: Person, member: str, told: str) -> None:
    user = f"{alice.village.people['alice'].uid}-{alice.village.clusters['prod']}"
    content = f"users:\n- name: {user}\n  user: {{{member}}}\n"
    alice.config.parent.mkdir()
    alice.config.write_text(content)
    said = alice.refused("prod", "--merge")
    assert f"Not merged, and nothing is changed: user {user} " in said and told in said and "hunter2" not in said
    assert "or use `--out FILE` and that file alone: kubectl --kubeconfig FILE." in said
    assert alice.config.read_text() == content and backups(alice.config) == []


def test_file_that_kubectl_is_writing_is_left_as_it_is(alice: Person) -> None:
    alice.got("prod", "--merge")
    before = alice.config.read_bytes()
    lock = alice.config.with_name("config.lock")
    lock.touch()
    assert f"{lock} is there" in alice.refused("生产-eu", "--merge")
    assert alice.config.read_bytes() == before and lock.exists()


def test_of_several_files_the_first_that_there_is_is_taken_as_kubectl_does(alice: Person) -> None:
    names = [alice.home / name for name in ("one", "two", "three")]
    several = ":".join(["", *map(str, names)])
    alice.got("prod", "--merge", KUBECONFIG=several)
    assert [path.exists() for path in names] == [False, False, True]
    names[1].write_text(FOREIGN)
    alice.got("prod", "--merge", KUBECONFIG=several)
    assert names[1].read_text() != FOREIGN and not names[0].exists() and not alice.config.exists()
    # The same that kubectl writes to.
    env = {"KUBECONFIG": several, "HOME": str(alice.home)}
    subprocess.run([str(KUBECTL), "config", "set-cluster", "new", "--server=https://x"], check=True, env=env)
    assert "https://x" in names[1].read_text()


def test_file_that_is_named_stands_above_the_environment(alice: Person) -> None:
    alice.got("prod", "--merge", "--kubeconfig", alice.home / "named", KUBECONFIG=str(alice.home / "other"))
    assert sorted(path.name for path in alice.home.iterdir()) == ["named"]


def test_link_stays_a_link(alice: Person) -> None:
    alice.config.parent.mkdir()
    (alice.home / "real").write_text(FOREIGN)
    alice.config.symlink_to(alice.home / "real")
    alice.got("prod", "--merge")
    assert alice.config.is_symlink() and (alice.home / "real").read_text() != FOREIGN


@pytest.mark.parametrize("existing", ["", FOREIGN])
def test_dry_run_shows_the_change_and_no_secret_and_writes_nothing(alice: Person, existing: str) -> None:
    if existing:
        alice.config.parent.mkdir()
        alice.config.write_text(existing)
    done = alice.get("prod", "--merge", "--dry-run")
    assert (done.code, done.err) == (0, "")
    added = [line.strip("+ ") for line in done.out.splitlines() if line.startswith("+")]
    assert 'server: "https://203.0.113.7:6443"' in added
    assert "client-certificate-data: <masked>" in added and "client-key-data: <masked>" in added
    assert "LS0" not in done.out and "hunter2" not in done.out
    assert not ESCAPES.search(done.out)
    assert [str(path.relative_to(alice.home)) for path in alice.home.rglob("*")] == (
        [".kube", ".kube/config"] if existing else []
    )
    assert not existing or alice.config.read_text() == existing


# --- with a key that stays here


@pytest.mark.parametrize("merge", [False, True])
def test_local_key_is_never_with_the_server(newcomer: Person, merge: bool) -> None:
    out = newcomer.home / "file"
    where = ("--merge", "--kubeconfig", out) if merge else ("--out", out)
    newcomer.got("prod", "--local-key", *where)
    assert kubectl(out, "view", "--raw", "-o", "jsonpath={.users[0].user.client-key-data}")
    user = user_of(out.read_text())
    pem = base64.b64decode(user["client-key-data"])
    key = load_private_key(pem)
    (certificate, *_) = load_certificates(base64.b64decode(user["client-certificate-data"]))
    assert key_matches(certificate, key)
    secret = key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
    lines = b"".join(pem.splitlines()[1:-1])
    wanted = [secret, secret.hex().encode(), pem, lines, base64.b64encode(pem), base64.b64decode(lines)]

    stored = b"".join(file.read_bytes() for file in newcomer.village.path.parent.rglob("*") if file.is_file())
    assert certificate.fingerprint in stored  # so that a search finds what is there
    for needle in wanted:
        assert needle not in stored
    assert not any(one in newcomer.village.server.log.read_bytes() for one in wanted)
    # And the server gives it to nobody: the ordinary kubeconfig has another key.
    other = newcomer.home / "other"
    newcomer.got("prod", "--out", other)
    assert user_of(other.read_text())["client-key-data"] != user["client-key-data"]


def test_local_key_that_cannot_be_merged_is_kept_beside(newcomer: Person) -> None:
    newcomer.got("prod", "--merge")
    taken = newcomer.config.read_text().replace("client-key-data", "exec: {command: x}\n    other")
    newcomer.config.write_text(taken)
    told = newcomer.refused("prod", "--local-key", "--merge")
    (beside,) = newcomer.config.parent.glob("config.new-*")
    assert "is there with" in told and f"The new kubeconfig, with its key, is in {beside}." in told
    assert newcomer.config.read_text() == taken
    assert beside.stat().st_mode & 0o777 == 0o600
    assert user_of(beside.read_text())["client-key-data"]


def test_local_key_with_the_life_and_address_asked_for(newcomer: Person) -> None:
    out = newcomer.home / "file"
    newcomer.got("prod", "--local-key", "--minutes", "15", "--private-address", "--out", out)
    assert "https://10.0.0.7:6443" in out.read_text()
    assert life_of(out.read_text()) < 3600


# --- which cluster


def test_cluster_by_name_or_id(alice: Person) -> None:
    texts = []
    for number, which in enumerate(["生产-eu", alice.village.clusters["生产-eu"]]):
        out = alice.home / str(number)
        alice.got(which, "--out", out)
        texts.append(out.read_text())
    assert texts[0] == texts[1] and alice.village.clusters["生产-eu"] in texts[0]


def test_deleted_namesake_is_passed_over(alice: Person) -> None:
    village = alice.village
    fields = ClusterFields(name="twice", public_endpoint="https://203.0.113.9:6443")
    first = village.installation.change(add_cluster, fields)
    village.installation.change(delete_cluster, first)
    second = village.installation.change(add_cluster, fields)
    village.installation.change(make_signer, second)
    out = alice.home / "file"
    alice.got("twice", "--out", out)
    assert second in out.read_text() and first not in out.read_text()


def test_name_is_found_behind_a_hundred_that_hold_it(alice: Person) -> None:
    async def work(custody: Custody) -> str:
        import time

        for number in range(101):
            fields = ClusterFields(name=f"many-{number}")
            await add_cluster(custody, alice.village.installation.account_id, AUTHOR, time.time(), fields)
        fields = ClusterFields(name="many", public_endpoint="https://203.0.113.9:6443")
        return await add_cluster(custody, alice.village.installation.account_id, AUTHOR, time.time(), fields)

    cluster_id = alice.village.installation.run(work)
    alice.village.installation.change(make_signer, cluster_id)
    out = alice.home / "file"
    alice.got("many", "--out", out)
    assert cluster_id in out.read_text()


def test_several_namesakes_are_told_apart_by_their_ids(alice: Person) -> None:
    """The server keeps names unique; the provider does not."""
    row = {"cluster_id": "c1", "name": "prod", "state": "running"}
    listed = {"clusters": [{**LISTED, **row}, {**LISTED, **row, "cluster_id": "c2"}], "page_info": PAGE}
    with faulty(answer(body=listed)) as server:
        told = alice.refused("prod", "--out", alice.home / "x", KUBECUSTODY_ENDPOINT=server.url)
        assert len(server.asked) == 1
    assert told == "Error: Several clusters are called prod; say which by its id: c1, c2.\n"


LISTED = {
    "cluster_type": "ExternalKubernetes",
    "cluster_spec": "",
    "profile": "Default",
    "region_id": "local",
    "created": "2026-11-24T03:00:42Z",
    "updated": "2026-11-24T03:00:42Z",
    "current_version": "",
    "master_url": "{}",
}
PAGE = {"page_number": 1, "page_size": 100, "total_count": 2}


def test_unknown_cluster_is_told_by_the_server(alice: Person) -> None:
    told = alice.refused("nowhere", "--out", alice.home / "x", code=1)
    assert told.startswith("ErrorClusterNotFound (404): ") and "nowhere" in told and "Request id: " in told


def test_who_may_not_list_clusters_says_the_id(village: Village, tmp_path: Path) -> None:
    bob = Person(village, "bob", tmp_path)
    out = tmp_path / "file"
    bob.got(village.clusters["prod"], "--out", out)
    assert village.clusters["prod"] in out.read_text()
    told = bob.refused("prod", "--out", tmp_path / "x", code=1)
    assert "ErrorClusterNotFound (404)" in told
    assert "You may not list clusters, so that a name is not found here: say the cluster's id." in told
    told = bob.refused(village.clusters["prod"], "--local-key", "--out", tmp_path / "x", code=1)
    assert told.startswith("StatusForbidden (403)") and "kubecustody:IssueCredential" in told
    assert "list clusters" not in told


# --- options and keys


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--merge", "--out", "x"], "Say either --out or --merge."),
        (["--dry-run", "--out", "x"], "--dry-run and --kubeconfig go with --merge."),
        (["--kubeconfig", "x", "--out", "y"], "--dry-run and --kubeconfig go with --merge."),
        (["--merge", "--dry-run", "--local-key"], "would have a certificate issued whose key is thrown away"),
        (["--out", "/"], "is a directory"),
        (["--merge", "--kubeconfig", "/"], "is a directory"),
        (["--minutes", "x", "--out", "y"], "is not a valid integer"),
        (["--key-file", "/nowhere"], "does not exist"),
    ],
)
def test_options_that_do_not_go_together_are_refused(newcomer: Person, words: list[str], told: str) -> None:
    assert told in newcomer.refused("prod", *words)
    assert newcomer.issued == 0


def test_key_of_a_file_is_not_mixed_with_the_environment(alice: Person) -> None:
    key = alice.village.people["alice"]
    file = alice.home / "key"
    file.write_text(f"ALIBABA_CLOUD_ACCESS_KEY_ID={key.access_key_id}\nALIBABA_CLOUD_ACCESS_KEY_SECRET={key.secret}\n")
    env = {
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "another",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "another-secret",
        "ALIBABA_CLOUD_SECURITY_TOKEN": "of-another",
    }
    out = alice.home / "out"
    alice.got("prod", "--key-file", file, "--out", out, **env)
    assert key.uid in out.read_text()
    file.write_text(f"ALIBABA_CLOUD_ACCESS_KEY_ID={key.access_key_id}\n")
    told = alice.refused("prod", "--key-file", file, "--out", out, **env)
    assert f"{file} has no ALIBABA_CLOUD_ACCESS_KEY_SECRET" in told


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "No access key: set ALIBABA_CLOUD_ACCESS_KEY_ID, or name a --key-file."),
        ("KUBECUSTODY_ENDPOINT", "No endpoint: set KUBECUSTODY_ENDPOINT (https://HOST:PORT), or say --endpoint."),
    ],
)
def test_what_is_missing_is_told(alice: Person, missing: str, told: str) -> None:
    assert alice.refused("prod", "--out", alice.home / "x", **{missing: ""}) == f"Error: {told}\n"


def test_over_tls_with_the_root_that_init_made(alice: Person) -> None:
    out = alice.home / "file"
    with serving(alice.village.installation, tls="on") as server:
        root = alice.village.installation.settings.tls_root_file
        alice.got("prod", "--ca", root, "--endpoint", server.url, "--out", out)
        told = alice.refused("prod", "--endpoint", server.url, "--out", alice.home / "x")
    assert "is not trusted" in told and "--ca FILE or SSL_CERT_FILE=FILE" in told
    assert user_of(out.read_text())


def test_what_a_hostile_server_says_does_nothing_to_the_terminal_or_the_file(alice: Person) -> None:
    evil = "\x1b[2J\x9b31m"
    alice.config.parent.mkdir()
    alice.config.write_text(FOREIGN)
    listed = {"clusters": [], "page_info": PAGE}
    exec_config = f'users: [{{name: "a", user: {{exec: {{command: "{evil}"}}}}}}]'
    for config in (exec_config, f"users: [{evil}", "", "[]"):
        given = {"config": config, "expiration": f"{evil}\n"}
        with faulty(answer(body=listed), answer(body=given)) as server:
            alice.refused("prod", "--merge", KUBECUSTODY_ENDPOINT=server.url)
        assert alice.config.read_text() == FOREIGN and backups(alice.config) == []
    with faulty(error(400, evil)) as server:
        alice.refused("prod", "--merge", code=1, KUBECUSTODY_ENDPOINT=server.url)


def test_issuing_is_asked_for_once_where_the_answer_is_lost(alice: Person) -> None:
    listed = {"clusters": [], "page_info": PAGE}
    with faulty(answer(body=listed), error(500, "InternalError")) as server:
        told = alice.refused("prod", "--out", alice.home / "x", code=1, KUBECUSTODY_ENDPOINT=server.url)
        assert [asked.target.partition("?")[0] for asked in server.asked] == [
            "/api/v1/clusters",
            "/k8s/prod/user_config",
        ]
    assert told == "InternalError (500): It is so. Request id: R\n"


# --- `call`, which has the same options


@pytest.mark.parametrize("body", [b"[]", b"null", b'"text"', b"{}"])
@pytest.mark.parametrize("output", ["json", "table"])
def test_error_of_another_shape_is_an_error_all_the_same(alice: Person, body: bytes, output: str) -> None:
    with faulty(answer(400, body)) as server:
        env = alice.village.env("alice", alice.home, KUBECUSTODY_ENDPOINT=server.url)
        done = run(alice.village.installation, "call", "DescribeRegions", "-o", output, env=env)
        assert (done.code, done.out) == (1, "") and done.err
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [302, 304])
def test_redirect_is_no_success(alice: Person, status: int) -> None:
    with faulty(answer(status, b"", location="https://elsewhere.example")) as server:
        env = alice.village.env("alice", alice.home, KUBECUSTODY_ENDPOINT=server.url)
        done = run(alice.village.installation, "call", "DescribeRegions", env=env)
    assert done.code == 2 and "sends elsewhere" in done.err and "elsewhere.example" not in done.err
