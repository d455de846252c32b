"""People from a file, profiles, who leaves and what lives on, and keys that are rotated or lost."""

import time
from pathlib import Path

import pytest
from alibabacloud_credentials.provider import ProfileCredentialsProvider

from cli.commands import admin, refused, run
from custody.books import ask, contents
from installations import Installation, serving
from kubecustody.pki.issuing import make_ca, make_client_certificate

REASON = ("--reason", "because")
DAY = 86400


def listed(installation: Installation, *words: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = admin(installation, *words, "-o", "json").json
    return rows


# --- import


def test_users_are_imported_once_and_a_rehearsal_adds_nobody(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(b"\xef\xbb\xbfname,email,uid\r\nanna,Anna@example.com,\r\n\r\nbert,,2000000000000000017\r\n")
    before = contents(installation.settings.store_file)
    rehearsal = admin(installation, "users", "import", file, "--dry-run")
    assert "would be added" in rehearsal.out and "2 would be added, 0 there already." in rehearsal.err
    assert contents(installation.settings.store_file) == before
    rows = admin(installation, "users", "import", file, "-o", "json").json
    assert [(row["line"], row["name"], row["outcome"]) for row in rows] == [(2, "anna", "added"), (4, "bert", "added")]
    there = {row["name"]: row["uid"] for row in listed(installation, "users", "list")}
    assert there == {row["name"]: row["uid"] for row in rows} and there["bert"] == "2000000000000000017"
    after = contents(installation.settings.store_file)
    assert "0 added, 2 there already." in admin(installation, "users", "import", file).err
    assert contents(installation.settings.store_file) == after


def test_a_file_that_stands_against_who_is_there_adds_nobody(installation: Installation, tmp_path: Path) -> None:
    admin(installation, "users", "add", "anna", "--email", "anna@example.com", "--uid", "17")
    admin(installation, "users", "add", "gone", "--uid", "18")
    admin(installation, "users", "delete", "gone")
    admin(installation, "roles", "add", "ci", "--uid", "19")
    file = tmp_path / "people.csv"
    file.write_text("name,email,uid\nnew,,\nanna,other@example.com,\nx,ANNA@example.com,\ny,,17\nGone,,\nci,,\n")
    before = contents(installation.settings.store_file)
    for words in ((), ("--dry-run",)):
        told = refused(installation, "admin", "users", "import", file, *words)
        assert "5 faults; nobody was added." in told
        assert [line for line in range(2, 8) if f"Line {line}: " in told] == [3, 4, 5, 6, 7]
        assert "Gone: its name, e-mail or uid is that of gone (18, deleted)." in told
    assert contents(installation.settings.store_file) == before


def test_a_file_of_people_that_is_too_large_is_not_read(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    with file.open("wb") as stream:
        stream.truncate(16 * 2**20 + 1)
    assert "larger than 16 MiB" in refused(installation, "admin", "users", "import", file)
    file.write_text("name\n" + "".join(f"user{number}\n" for number in range(20_001)))
    assert "20,001 people; 20,000 at once" in refused(installation, "admin", "users", "import", file)


# --- profiles


def test_a_profile_is_read_by_the_providers_sdk_and_by_our_commands(installation: Installation, tmp_path: Path) -> None:
    file = tmp_path / "credentials.ini"
    file.write_text("# mine\n[default]\ntype = access_key\naccess_key_id = a\naccess_key_secret = b")
    file.chmod(0o644)
    done = admin(installation, "users", "add", "anna", "--profile", file)
    uid = done.out.strip()
    text = file.read_text()
    assert text.startswith("# mine\n[default]\ntype = access_key\naccess_key_id = a\naccess_key_secret = b\n")
    assert file.stat().st_mode & 0o777 == 0o600
    found = ProfileCredentialsProvider(profile_file=str(file), profile_name="anna").get_credentials()
    (key,) = listed(installation, "keys", "list", "--user", uid)
    assert found.get_access_key_id() == key["access_key_id"]
    assert found.get_access_key_secret() not in done.out + done.err
    words = ("call", "ListUserKubeConfigStates", f"Uid={uid}", "--key-file", file)
    with serving(installation) as server:
        asked = run(installation, *words, "--endpoint", server.url, env={"ALIBABA_CLOUD_PROFILE": "anna"})
        assert (asked.code, "StatusForbidden" in asked.err) == (1, True), asked
        strange = run(installation, *words, "--endpoint", server.url)
        assert (strange.code, "InvalidAccessKeyId" in strange.err) == (1, True), strange
    told = refused(installation, *words, env={"ALIBABA_CLOUD_PROFILE": "nobody"})
    assert "has no profile nobody; it has default, anna." in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[anna]\ntype = access_key\n", "has a profile anna already"),
        (b"no section = s3cret\n", "is no file of profiles"),
        (b"[default]\nx = 1\n[default]\n", "is no file of profiles"),
        (b"\xff\xfe[default]", "credentials.ini"),
    ],
)
def test_a_file_of_profiles_in_the_way_adds_nobody(
    installation: Installation, tmp_path: Path, content: bytes, told: str
) -> None:
    file = tmp_path / "credentials.ini"
    file.write_bytes(content)
    before = contents(installation.settings.store_file)
    text = refused(installation, "admin", "users", "add", "anna", "--profile", file)
    assert told in text and "s3cret" not in text
    assert file.read_bytes() == content and contents(installation.settings.store_file) == before


# --- who leaves


@pytest.fixture
def leaver(installation: Installation, tmp_path: Path) -> Installation:
    """An installation in which anna holds a good certificate in two clusters, one of which is deleted."""
    now = int(time.time())
    ca = make_ca("client-ca", now=now, days=30)
    (tmp_path / "ca.pem").write_bytes(ca.certificate)
    admin(installation, "users", "add", "anna", "--uid", "2001")
    for number, name in enumerate(("prod", "old")):
        pair = make_client_certificate(ca, f"2001-{number}", ["system:users"], now - DAY, now + DAY)
        (tmp_path / "anna.pem").write_bytes(pair.certificate)
        admin(installation, "clusters", "add", name, "--client-ca", tmp_path / "ca.pem")
        admin(installation, "credentials", "import", tmp_path / "anna.pem", "--cluster", name)
    admin(installation, "clusters", "delete", "old")
    return installation


def test_who_may_still_get_in_is_not_deleted_unless_somebody_decides(leaver: Installation) -> None:
    before = contents(leaver.settings.store_file)
    told = refused(leaver, "admin", "users", "delete", "anna")
    assert "prod (" in told and "2001-0" in told and "Unexpired until" in told
    assert "say --clean to have all of that removed, or --keep-access" in told
    assert "either" in refused(leaver, "admin", "users", "delete", "anna", "--clean", "--keep-access")
    assert contents(leaver.settings.store_file) == before
    kept = admin(leaver, "users", "delete", "anna", "--keep-access", *REASON)
    assert "What it holds on clusters lives on" in kept.out
    (row,) = listed(leaver, "credentials", "list", "--cluster", "prod")
    assert row["state"] == "Unexpired"
    sql = "SELECT kind, reason FROM events WHERE kind IN ('principal_deleted', 'removal_requested')"
    assert ask(leaver.settings.store_file, sql) == [("principal_deleted", "because")]


def test_cleaning_asks_the_removal_in_the_same_change_and_says_where_it_cannot(leaver: Installation) -> None:
    done = admin(leaver, "users", "delete", "anna", "--clean", *REASON)
    assert "(1 credentials) is asked" in done.out
    assert "Nothing can be asked in clusters of this state: c" in done.err
    sql = "SELECT kind, recorded_at_ms FROM events WHERE kind IN ('principal_deleted', 'removal_requested')"
    rows = ask(leaver.settings.store_file, sql + " ORDER BY event_no")
    assert [kind for kind, _ in rows] == ["removal_requested", "principal_deleted"]
    assert len({at for _, at in rows}) == 1


# --- keys


def test_a_key_is_rotated_and_the_old_one_goes_on_or_not(installation: Installation, tmp_path: Path) -> None:
    admin(installation, "users", "add", "anna")
    admin(installation, "keys", "add", "anna", "--out", tmp_path / "first", *REASON)
    (first,) = listed(installation, "keys", "list", "--user", "anna")
    assert first["last_used_at"] is None
    done = admin(installation, "keys", "rotate", first["access_key_id"], "--out", tmp_path / "second", *REASON)
    assert f"keys disable {first['access_key_id']}" in done.err
    rows = listed(installation, "keys", "list", "--user", "anna")
    assert [row["state"] for row in rows] == ["active", "active"]
    second = next(row for row in rows if row["access_key_id"] != first["access_key_id"])
    words = ("keys", "rotate", second["access_key_id"], "--disable-old", "--out", tmp_path / "third", *REASON)
    admin(installation, *words)
    states = {row["access_key_id"]: row["state"] for row in listed(installation, "keys", "list", "--user", "anna")}
    assert states.pop(second["access_key_id"]) == "disabled" and set(states.values()) == {"active"}
    assert "--reason" in run(installation, "admin", "keys", "rotate", first["access_key_id"]).err
    assert "There is no access key 'KCx'" in refused(
        installation, "admin", "keys", "rotate", "KCx", "--out", tmp_path / "none", *REASON
    )
    assert not (tmp_path / "none").exists()


def test_a_lost_key_of_the_account_is_recovered_on_the_machine(installation: Installation, tmp_path: Path) -> None:
    done = admin(installation, "keys", "recover", "--out", tmp_path / "new", *REASON)
    assert f"{installation.key.access_key_id} of the account goes on; never used as far as is known." in done.err
    with serving(installation) as server:
        words = ("call", "DescribeClustersV1", "--endpoint", server.url, "--key-file", tmp_path / "new")
        assert run(installation, *words).code == 0
    lost = admin(installation, "keys", "recover", "--disable-others", "--out", tmp_path / "newer", *REASON)
    assert f"{installation.key.access_key_id} of the account is disabled" in lost.err
    active = [row for row in listed(installation, "keys", "list") if row["state"] == "active"]
    assert [row["uid"] for row in active] == [installation.account_id]
