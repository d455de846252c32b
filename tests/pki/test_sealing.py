"""Sealed secrets open in one place only, and every reason why not has its own words."""

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubecustody.core.errors import OperatorError
from kubecustody.pki.sealing import (
    KeyRing,
    KeyRingUnusable,
    KeyVersionMissing,
    MasterKeyWrong,
    SealBroken,
    Sealer,
    key_version_of,
    load_key_ring,
    write_key_ring,
)

PLACE = {"table": "private_keys", "column": "sealed", "account_id": "1001", "row_id": "7"}
SECRET = b"-----BEGIN PRIVATE KEY----- canary"


@pytest.fixture(scope="module")
def ring() -> KeyRing:
    return KeyRing.generate(os.urandom)


@pytest.fixture(scope="module")
def sealer(ring: KeyRing) -> Sealer:
    return Sealer(ring, "installation-1")


@given(plain=st.binary(max_size=200))
def test_what_is_sealed_opens_in_its_place(sealer: Sealer, plain: bytes) -> None:
    sealed = sealer.seal(plain, **PLACE, random_bytes=os.urandom)
    assert sealer.open(sealed, **PLACE) == plain
    assert len(plain) < 8 or plain not in sealed


@pytest.mark.parametrize("changed", PLACE)
def test_a_value_moved_to_another_place_does_not_open(sealer: Sealer, changed: str) -> None:
    sealed = sealer.seal(SECRET, **PLACE, random_bytes=os.urandom)
    with pytest.raises(SealBroken, match="another place"):
        sealer.open(sealed, **{**PLACE, changed: "other"})


def test_a_value_of_another_installation_does_not_open(ring: KeyRing, sealer: Sealer) -> None:
    sealed = Sealer(ring, "installation-2").seal(SECRET, **PLACE, random_bytes=os.urandom)
    with pytest.raises(SealBroken):
        sealer.open(sealed, **PLACE)


def test_the_border_between_two_parts_of_a_place_counts(sealer: Sealer) -> None:
    sealed = sealer.seal(SECRET, table="ab", column="c", account_id="1", row_id="1", random_bytes=os.urandom)
    with pytest.raises(SealBroken):
        sealer.open(sealed, table="a", column="bc", account_id="1", row_id="1")


def test_no_changed_bit_goes_unseen(sealer: Sealer) -> None:
    sealed = sealer.seal(b"x", **PLACE, random_bytes=os.urandom)
    for position in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[position] ^= 1
        with pytest.raises(SealBroken):
            sealer.open(bytes(damaged), **PLACE)


@given(st.binary(max_size=120))
def test_bytes_that_were_never_sealed_raise_the_own_error(sealer: Sealer, data: bytes) -> None:
    with pytest.raises(SealBroken):
        sealer.open(data, **PLACE)


def test_a_wrong_master_key_is_told_apart_from_damage(ring: KeyRing, sealer: Sealer) -> None:
    other = Sealer(KeyRing.generate(os.urandom), sealer.installation_id)
    with pytest.raises(MasterKeyWrong, match="v1 of the key ring is not the v1 that sealed"):
        other.open(sealer.seal(SECRET, **PLACE, random_bytes=os.urandom), **PLACE)


def test_after_a_rotation_the_old_opens_and_the_new_seals(ring: KeyRing, sealer: Sealer) -> None:
    rotated = Sealer(ring.rotated(os.urandom), sealer.installation_id)
    old, new = (one.seal(SECRET, **PLACE, random_bytes=os.urandom) for one in (sealer, rotated))
    assert (key_version_of(old), key_version_of(new)) == (1, 2)
    assert rotated.open(old, **PLACE) == rotated.open(new, **PLACE) == SECRET
    with pytest.raises(KeyVersionMissing, match=r"master key v2, and the key ring holds only v1"):
        sealer.open(new, **PLACE)


def test_each_row_has_a_salt_and_a_nonce_of_its_own(sealer: Sealer) -> None:
    sealed = {sealer.seal(SECRET, **PLACE, random_bytes=os.urandom) for _ in range(50)}
    assert len({one[13:45] for one in sealed}) == len({one[45:57] for one in sealed}) == 50


# --- the ring -----------------------------------------------------------------------------------------------


def test_a_ring_comes_back_from_its_text(ring: KeyRing) -> None:
    rotated = ring.rotated(os.urandom)
    for one in (ring, rotated):
        assert KeyRing.parse(one.format()) == one
        assert KeyRing.parse("# kept safe; twice\n" + one.format().replace("\n", " ; ")) == one


def test_repr_shows_no_key(ring: KeyRing, sealer: Sealer) -> None:
    key = ring.get_key(1)
    for text in (repr(ring), str(ring), repr(sealer)):
        assert "keys" not in text
        assert repr(key) not in text
        assert base64.b64encode(key).decode() not in text


KEY = base64.b64encode(b"k" * 32).decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not say which key is current"),
        (f'v1 = "{KEY}"', "does not say which key is current"),
        (f'v1 = "{KEY}"\ncurrent = 2', "no key v2"),
        ("current = 1", "no key v1"),
        (f'v1 = "{KEY[:-4]}"\ncurrent = 1', "Line 1 .* 32 bytes"),
        ('v1 = "a=aa"\ncurrent = 1', "Line 1 .* 32 bytes"),
        (f'v1 = "{KEY}"\nv1 = "{KEY}"\ncurrent = 1', "Line 2 .* again"),
        (f'v1 = "{KEY}"\ncurrent = 1\ncurrent = 1', "Line 3 .* again"),
        (f'v0 = "{KEY}"\ncurrent = 1', "Line 1 .* neither"),
        (f'v9999999999 = "{KEY}"\ncurrent = 9999999999', "v9999999999"),
        (f"v1 = {KEY}\ncurrent = 1", "Line 1 .* neither"),
    ],
)
def test_a_broken_ring_is_told_by_line_and_never_repeated(text: str, words: str) -> None:
    with pytest.raises(KeyRingUnusable, match=words) as caught:
        KeyRing.parse(text)
    assert KEY[:8] not in str(caught.value)


@given(st.text())
def test_no_text_raises_anything_but_the_own_error(text: str) -> None:
    try:
        KeyRing.parse(text)
    except OperatorError:
        return


def test_a_ring_written_is_private_and_comes_back(tmp_path: Path, ring: KeyRing) -> None:
    path = tmp_path / "key-ring"
    write_key_ring(path, ring)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key_ring(path, None) == load_key_ring(path, "") == ring
    assert list(tmp_path.iterdir()) == [path]


def test_a_ring_is_never_overwritten_unasked(tmp_path: Path, ring: KeyRing) -> None:
    path = tmp_path / "key-ring"
    write_key_ring(path, ring)
    rotated = ring.rotated(os.urandom)
    with pytest.raises(KeyRingUnusable, match="never overwritten unasked"):
        write_key_ring(path, rotated)
    assert load_key_ring(path, None) == ring
    write_key_ring(path, rotated, replace=True)
    assert load_key_ring(path, None) == rotated
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, ring: KeyRing) -> None:
    with pytest.raises(KeyRingUnusable, match="cannot be written"):
        write_key_ring(tmp_path / "absent" / "key-ring", ring)


def test_the_environment_goes_before_the_file(tmp_path: Path, ring: KeyRing) -> None:
    path = tmp_path / "key-ring"
    write_key_ring(path, KeyRing.generate(os.urandom))
    assert load_key_ring(path, ring.format()) == ring


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o601])
def test_a_ring_that_others_may_touch_is_refused(tmp_path: Path, ring: KeyRing, mode: int) -> None:
    path = tmp_path / "key-ring"
    write_key_ring(path, ring)
    path.chmod(mode)
    with pytest.raises(KeyRingUnusable, match="chmod 600"):
        load_key_ring(path, None)


def test_a_ring_of_another_user_is_refused(tmp_path: Path, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key-ring"
    write_key_ring(path, ring)
    # A second user is out of reach of a test; so this program takes itself for another.
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(KeyRingUnusable, match="belongs to user"):
        load_key_ring(path, None)


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "large").write_bytes(b"#" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    for path in tmp_path.iterdir():
        path.chmod(0o600)
        with pytest.raises(KeyRingUnusable, match="is no key ring"):
            load_key_ring(path, None)
    with pytest.raises(KeyRingUnusable):
        load_key_ring(tmp_path, None)


def test_a_missing_ring_says_what_to_do_and_is_never_made_up(tmp_path: Path) -> None:
    for path in (None, tmp_path / "absent"):
        with pytest.raises(KeyRingUnusable, match=r"kubecustody init.*backup.*key_ring_file.*KUBECUSTODY_KEY_RING"):
            load_key_ring(path, None)
    assert list(tmp_path.iterdir()) == []
