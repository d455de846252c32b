"""Every admin command: what it does, what it says, and what it says when it cannot."""

import json
import stat
import time
from pathlib import Path

import pytest
from commands import ESCAPES, admin, refused, run

from installations import Installation
from kubecustody.pki.issuing import PemPair, make_ca, make_client_certificate

REASON = ("--reason", "because")
DAY = 86400


def admin_json(installation: Installation, *words: str | Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = admin(installation, *words, "-o", "json").json
    return rows


# --- accounts, people


def test_accounts_are_added_listed_and_told_apart(installation: Installation) -> None:
    second = admin(installation, "accounts", "add", "second", "--region", "cn-x").out.strip()
    names = {row["account_id"]: row["name"] for row in admin_json(installation, "accounts", "list")}
    assert names == {installation.account_id: "test", second: "second"}
    assert "There are 2 accounts; say which: --account ID." in refused(installation, "admin", "clusters", "list")
    assert admin(installation, "--account", second, "clusters", "list").out == "No clusters.\n"
    told = refused(installation, "admin", "--account", "999", "clusters", "list")
    assert "There is no account 999. `kubecustody admin accounts list` shows them." in told
    assert "already" in refused(installation, "admin", "accounts", "add", "third", "--id", second)
    assert "1 to 32 digits" in refused(installation, "admin", "accounts", "add", "third", "--id", "abc")


@pytest.mark.parametrize(("group", "first"), [("users", "2"), ("roles", "3")])
def test_people_are_added_disabled_enabled_and_deleted(installation: Installation, group: str, first: str) -> None:
    uid = admin(installation, group, "add", "alice", "--email", "Alice@example.com", "--display-name", "A").out.strip()
    assert uid.startswith(first) and len(uid) == 18
    assert admin(installation, group, "disable", "ALICE").out.startswith(f"{uid} is disabled.")
    assert admin_json(installation, group, "list")[0]["state"] == "InActive"
    assert admin(installation, group, "enable", "alice@EXAMPLE.com").out == f"{uid} is enabled.\n"
    assert f"see ListUserKubeConfigStates Uid={uid}" in admin(installation, group, "delete", uid).out
    assert admin_json(installation, group, "list")[0]["state"] == "Deleted"
    assert "is deleted" in refused(installation, "admin", group, "delete", uid)
    assert "never used again" in refused(installation, "admin", group, "add", "bob", "--uid", uid)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("users", "add", "12345"), "not digits alone (those are uids)"),
        (("users", "add", "a b"), "cannot be a name"),
        (("users", "add", "a\x1b[31m"), "cannot be a name"),
        (("users", "add", "x", "--uid", "abc"), "1 to 32 digits"),
        (("users", "disable", "nobody"), "`kubecustody admin users list` shows them."),
        (("users", "delete", "x\x1b[31m"), r"'x\x1b[31m'"),
        (("groups", "delete", "none"), "`kubecustody admin groups list` shows them."),
        (("groups", "join", "nobody", "none"), "There is no user or role 'nobody'."),
        (("keys", "disable", "KCx", *REASON), "`kubecustody admin keys list` shows them."),
        (("keys", "list", "--user", "nobody"), "There is no user or role 'nobody'."),
        (("policies", "attach", "None", "--user", "x", *REASON), "`kubecustody admin policies list` shows them."),
        (("policies", "attach", "AliyunCSFullAccess", *REASON), "Say either a user or role, or a group."),
        (("policies", "delete", "AliyunCSFullAccess", *REASON), "is built in and cannot be deleted"),
        (("policies", "show", "Mine"), "There is no policy 'Mine'"),
        (("clusters", "add", "-bad"), "No such option"),
        (("clusters", "add", "b ad"), "cannot be a cluster's name"),
        (("clusters", "add", "x", "--id", "/"), "cannot be a cluster's id"),
        (("clusters", "add", "x", "--public-endpoint", "http://x"), "it must be https://HOST"),
        (("clusters", "set", "none", "--name", "x"), "`kubecustody admin clusters list` shows them."),
        (("clusters", "delete", "none"), "`kubecustody admin clusters list` shows them."),
        (("credentials", "list", "--cluster", "none"), "`kubecustody admin clusters list` shows them."),
        (("credentials", "import", "/nowhere", "--cluster", "none"), "There is no file or folder /nowhere"),
        (("removals", "attest", "--cluster", "none", "--user", "x", *REASON), "There is no cluster 'none'."),
    ],
)
def test_fault_is_told_with_what_to_do(installation: Installation, words: tuple[str, ...], told: str) -> None:
    assert told in refused(installation, "admin", *words)


def test_account_itself_is_no_user(installation: Installation) -> None:
    account = installation.account_id
    assert "is the account itself" in refused(installation, "admin", "users", "delete", account)
    attach = "policies", "attach", "AliyunCSFullAccess", "--user", account, *REASON
    assert "The account may do everything" in refused(installation, "admin", *attach)


def test_groups_carry_policies_to_their_members(installation: Installation) -> None:
    admin(installation, "users", "add", "alice")
    assert admin(installation, "groups", "add", "ops").out == "Added the group ops.\n"
    assert admin(installation, "groups", "join", "alice", "ops").out == "alice is in ops.\n"
    assert admin(installation, "groups", "join", "alice", "OPS").out == "alice was in OPS already.\n"
    assert admin_json(installation, "groups", "list")[0]["members"] == 1
    attach = "policies", "attach", "AliyunCSReadOnlyAccess", "--group", "ops", *REASON
    assert admin(installation, *attach).out == "AliyunCSReadOnlyAccess is attached to ops.\n"
    assert admin(installation, *attach).out == "AliyunCSReadOnlyAccess was attached already.\n"
    assert admin(installation, "groups", "leave", "alice", "ops").out == "alice is no longer in ops.\n"
    assert admin(installation, "groups", "leave", "alice", "ops").out == "alice was not in ops.\n"
    assert admin(installation, "groups", "delete", "ops").out == "Deleted the group ops.\n"
    assert "never used again" in refused(installation, "admin", "groups", "add", "ops")


# --- keys, policies


def test_key_is_made_into_a_private_file_and_never_shown_again(installation: Installation, tmp_path: Path) -> None:
    admin(installation, "users", "add", "alice")
    out = tmp_path / "alice.key"
    done = admin(installation, "keys", "add", "alice", "--out", out, *REASON)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    lines = dict(line.split("=", 1) for line in out.read_text().splitlines())
    key_id, secret = lines["ALIBABA_CLOUD_ACCESS_KEY_ID"], lines["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
    listed = admin(installation, "keys", "list", "--user", "alice").out
    assert key_id in listed and secret not in done.out + done.err + listed
    assert "name a new file" in refused(installation, "admin", "keys", "add", "alice", "--out", out, *REASON)
    assert "no terminal" in refused(installation, "admin", "keys", "add", "alice", *REASON)
    for command, state in (("disable", "disabled"), ("enable", "active"), ("delete", "deleted")):
        admin(installation, "keys", command, key_id, *REASON)
        assert admin_json(installation, "keys", "list", "--user", "alice")[0]["state"] == state
    assert "There is no access key" in refused(installation, "admin", "keys", "enable", key_id, *REASON)
    admin(installation, "users", "delete", "alice")
    told = refused(installation, "admin", "keys", "add", "alice", "--out", tmp_path / "b", *REASON)
    assert "a deleted user gets no access key" in told


def test_reason_is_asked_for_where_it_is_kept(installation: Installation) -> None:
    assert "--reason" in refused(installation, "admin", "keys", "disable", "KCx")


def test_policy_is_stored_shown_replaced_and_deleted(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    statement = {"Effect": "Allow", "Action": "cs:List*", "Resource": "*"}
    file.write_text(json.dumps({"Version": "1", "Statement": [statement]}))
    admin(installation, "users", "add", "alice")
    assert admin(installation, "policies", "put", "Mine", file, *REASON).out == "Stored the policy Mine.\n"
    assert admin(installation, "policies", "show", "mine").out == file.read_text() + "\n"
    admin(installation, "policies", "attach", "MINE", "--user", "alice", *REASON)
    assert [row["attachments"] for row in admin_json(installation, "policies", "list")] == [0, 0, 0, 1]
    assert "detach it first" in refused(installation, "admin", "policies", "delete", "Mine", *REASON)
    admin(installation, "policies", "detach", "Mine", "--user", "alice", *REASON)
    assert admin(installation, "policies", "delete", "Mine", *REASON).out == "Deleted the policy Mine.\n"
    built_in = "policies", "put", "AliyunCSFullAccess", str(file), *REASON
    assert "is built in" in refused(installation, "admin", *built_in)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "JSON"),
        (b"\xff\xfe", "is not UTF-8"),
        (b" " * 70_000, "is larger than 65536 bytes"),
        (b'{"Version":"1","Statement":[{"Effect":"Perhaps","Action":"*","Resource":"*"}]}', "Effect"),
        (b'{"Version":"2","Statement":[]}', "Version"),
    ],
)
def test_policy_that_is_none_is_refused(installation: Installation, tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "policy.json"
    file.write_bytes(content)
    assert told in refused(installation, "admin", "policies", "put", "Mine", file, *REASON)


# --- clusters


def test_cluster_is_added_changed_deleted_and_purged(installation: Installation, tmp_path: Path) -> None:
    cluster_id = admin(installation, "clusters", "add", "生产-eu", "--state", "updating").out.strip()
    assert cluster_id.startswith("c") and len(cluster_id) == 33
    assert admin(installation, "clusters", "set", "生产-eu", "--name", "prod", "--state", "running").out
    ca = tmp_path / "ca.pem"
    ca.write_bytes(make_ca("ca", int(time.time()) - DAY, 10).certificate)
    told = admin(installation, "clusters", "set", "prod", "--client-ca", ca).out
    assert "Client CA version 1 is in force; 0 certificates were judged by it." in told
    assert admin(installation, "clusters", "set", "prod", "--client-ca", ca).out == "Changed prod.\n"
    assert admin_json(installation, "clusters", "list") == [
        {"cluster_id": cluster_id, "name": "prod", "state": "running", "client_ca": "version 1"}
    ]
    assert "`kubecustody admin clusters delete` first" in refused(
        installation, "admin", "clusters", "purge", "prod", *REASON
    )
    assert admin(installation, "clusters", "delete", "prod").out == f"{cluster_id} is deleted.\n"
    assert "is deleted" in refused(installation, "admin", "clusters", "set", "prod", "--name", "x")
    assert admin(installation, "clusters", "purge", "prod", *REASON).out == f"{cluster_id} is purged.\n"
    assert "never used again" in refused(installation, "admin", "clusters", "add", "new", "--id", cluster_id)


def test_name_of_several_clusters_is_no_answer_to_which(installation: Installation) -> None:
    ids = []
    for _ in range(2):
        ids.append(admin(installation, "clusters", "add", "twin").out.strip())
        assert "called twin already" in refused(installation, "admin", "clusters", "add", "twin")
        admin(installation, "clusters", "delete", "twin")
    told = refused(installation, "admin", "clusters", "purge", "twin", "--reason", "tidy")
    assert all(one in told for one in ids) and "say which by its id" in told
    assert "already" in refused(installation, "admin", "clusters", "add", "third", "--id", ids[0])


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\xff" * 100])
def test_client_ca_that_is_none_is_refused(installation: Installation, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "ca.pem"
    file.write_bytes(content)
    assert refused(installation, "admin", "clusters", "add", "x", "--client-ca", file).startswith("Error: ")
    assert admin(installation, "clusters", "list").out == "No clusters.\n"


# --- credentials, removals


class Fleet:
    """A cluster called prod with its CA, and alice."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.installation = installation
        self.folder = folder
        self.now = int(time.time())
        self.authority = make_ca("prod client CA", self.now - 30 * DAY, 100)
        (folder / "ca.pem").write_bytes(self.authority.certificate)
        admin(installation, "clusters", "add", "prod", "--client-ca", folder / "ca.pem")
        self.alice = admin(installation, "users", "add", "alice").out.strip()

    def make(self, name: str, common_name: str, groups: tuple[str, ...] = ("system:users",)) -> Path:
        pair: PemPair = make_client_certificate(
            self.authority, common_name, list(groups), self.now - DAY, self.now + DAY
        )
        path = self.folder / name
        path.write_bytes(pair.certificate + pair.private_key)
        return path


@pytest.fixture
def fleet(installation: Installation, tmp_path: Path) -> Fleet:
    folder = tmp_path / "files"
    folder.mkdir()
    return Fleet(installation, folder)


def test_import_takes_once_and_reports_each_file(fleet: Fleet) -> None:
    fleet.make("alice.pem", f"{fleet.alice}-1")
    (fleet.folder / "note.txt").write_text("no certificate")
    first = run(fleet.installation, "admin", "credentials", "import", fleet.folder, "--cluster", "prod", "-o", "json")
    assert first.code == 1
    outcomes = {Path(row["file"]).name: row["outcome"] for row in first.json}
    assert outcomes == {"alice.pem": "taken", "ca.pem": "taken", "note.txt": "refused"} or outcomes == {
        "alice.pem": "taken",
        "ca.pem": "refused",
        "note.txt": "refused",
    }
    again = run(fleet.installation, "admin", "credentials", "import", fleet.folder, "--cluster", "prod", "-o", "json")
    assert {row["outcome"] for row in again.json} == {"known", "refused"}
    listed = admin_json(fleet.installation, "credentials", "list", "--cluster", "prod")
    assert [row["state"] for row in listed if row["holder"] == fleet.alice] == ["Unexpired"]


def test_removal_is_attested_and_withdrawn_by_each_way_of_saying_which(fleet: Fleet) -> None:
    admin(fleet.installation, "credentials", "import", fleet.make("a.pem", f"{fleet.alice}-1"), "--cluster", "prod")
    (row,) = admin_json(fleet.installation, "credentials", "list", "--cluster", "prod")
    fingerprint = str(row["fingerprint"])
    for which in (("--fingerprint", fingerprint.upper()), ("--user", "alice")):
        attest = admin_json(fleet.installation, "removals", "attest", "--cluster", "prod", *which, *REASON)
        assert [one["changed"] for one in attest] == [True]
        again = admin_json(fleet.installation, "removals", "attest", "--cluster", "prod", *which, *REASON)
        assert again[0]["remark"] == "is Removed already (attested)"
        listed = admin_json(fleet.installation, "credentials", "list", "--cluster", "prod")
        assert [one["state"] for one in listed] == ["Removed"]
        withdrawn = admin_json(fleet.installation, "removals", "withdraw", "--cluster", "prod", *which, *REASON)
        assert [one["changed"] for one in withdrawn] == [True]
    listed = admin_json(fleet.installation, "credentials", "list", "--cluster", "prod")
    assert [one["state"] for one in listed] == ["Unexpired"]
    base = "admin", "removals", "attest", "--cluster", "prod"
    assert "one of --fingerprint, --serial or --user" in refused(fleet.installation, *base, *REASON)
    assert "openssl x509" in refused(fleet.installation, *base, "--fingerprint", "xyz", *REASON)
    assert "nothing was changed" in refused(fleet.installation, *base, "--serial", "00", *REASON)
    assert "needs a reason" in refused(fleet.installation, *base, "--user", "alice", "--reason", " ")


def test_credential_that_passes_every_authorizer_cannot_be_attested_away(fleet: Fleet) -> None:
    path = fleet.make("root.pem", f"{fleet.alice}-1", ("system:masters",))
    told = admin(fleet.installation, "credentials", "import", path, "--cluster", "prod").out
    assert "system:masters, which passes every authorizer" in told
    attest = "removals", "attest", "--cluster", "prod", "--user", "alice", *REASON
    (row,) = admin_json(fleet.installation, *attest)
    assert row["changed"] is False and "only a change of the cluster's CA removes it" in str(row["remark"])


HOSTILE = ["\x1b[2J\x1b]0;owned\x07", "\x9b31mred", "‮gnp.exe", "line\nbreak\rback", "tab\tbell\x07"]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("output", ["table", "json"])
def test_hostile_common_name_does_nothing_to_a_terminal(fleet: Fleet, name: str, output: str) -> None:
    path = fleet.make("hostile.pem", name)
    imported = run(fleet.installation, "admin", "credentials", "import", path, "--cluster", "prod", "-o", output)
    listed = run(fleet.installation, "admin", "credentials", "list", "--cluster", "prod", "-o", output)
    for done in (imported, listed):
        assert done.code == 0
        assert not ESCAPES.search(done.out + done.err)
        assert "\u202e" not in done.out
    if output == "json":
        assert listed.json[0]["common_name"] == name


def test_hostile_file_name_does_nothing_to_a_terminal(fleet: Fleet) -> None:
    path = fleet.folder / "\x1b[31mred\x9b.pem"
    path.write_text("nothing")
    for output in ("table", "json"):
        done = run(fleet.installation, "admin", "credentials", "import", path, "--cluster", "prod", "-o", output)
        assert done.code == 1 and not ESCAPES.search(done.out + done.err)
    gone = refused(fleet.installation, "admin", "credentials", "import", f"{path}gone", "--cluster", "prod")
    assert "There is no file or folder" in gone


# --- upkeep


def test_master_key_is_rotated_and_everything_still_opens(installation: Installation) -> None:
    told = admin(installation, "rotate-master-key", *REASON).out
    assert told.startswith("Sealed 2 secrets anew.") and str(installation.settings.key_ring_file) in told
    assert installation.settings.key_ring_file.read_text().count("=") > 2
    assert stat.S_IMODE(installation.settings.key_ring_file.stat().st_mode) == 0o600
    ring = installation.settings.key_ring_file.read_text()
    told = refused(installation, "admin", "rotate-master-key", *REASON, env={"KUBECUSTODY_KEY_RING": ring})
    assert "unset the variable" in told


def test_schema_that_is_up_to_date_is_left_alone(installation: Installation) -> None:
    assert admin(installation, "migrate").out == "The schema is up to date.\n"


def test_store_held_by_another_program_is_told_and_not_waited_for_forever(installation: Installation) -> None:
    import sqlite3

    holder = sqlite3.connect(installation.settings.store_file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    assert "the store is busy with another change" in refused(installation, "admin", "users", "add", "alice")
    assert time.monotonic() - started < 15
    holder.execute("ROLLBACK")
    holder.close()
    admin(installation, "users", "add", "alice")
