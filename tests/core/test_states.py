"""The states mean what the prose of the data model says, read here once more over the credentials themselves."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubecustody.core.states import (
    CanGetIn,
    CertState,
    Credential,
    RemovedBy,
    RowState,
    can_get_in,
    holding_of,
    is_current,
    is_live,
    state_of_credential,
    state_of_row,
)

MICROSECOND = 1e-6
EPOCH = 3


def credential(number: int = 1, **facts: object) -> Credential:
    """A good one from 100 to 200 in epoch 3, but for `facts`."""
    usual: dict[str, object] = {
        "issued_at": 100,
        "not_before": 100,
        "not_after": 200,
        "vouched_until": 200,
        "trust_epoch": EPOCH,
    }
    return Credential(number, **{**usual, **facts})  # type: ignore[arg-type]


def row_at(now: float, *credentials: Credential, epoch: int = EPOCH) -> RowState:
    return state_of_row(holding_of(credentials, epoch), epoch, now)


ATTESTED = {"removed_at": 150, "removed_by": RemovedBy.ATTESTED, "removal_requested_at": 150}
PROVED = {"removed_at": 150, "removed_by": RemovedBy.PROVED, "removal_requested_at": 150}
UNVOUCHED = {"vouched_until": None, "verdict": "unknown_authority"}
RECORD = {"not_after": None, "vouched_until": None, "verdict": "no_certificate"}


# --- the prose, read independently


def told_state(one: Credential, epoch: int, now: float) -> CertState:
    """The state of one credential: the four sentences of the data model, in their order."""
    removed = one.removed_at is not None
    expired = one.not_after is not None and now > one.not_after
    vouched = one.trust_epoch == epoch and one.vouched_until is not None and now <= one.vouched_until
    for holds, state in (
        (removed, CertState.REMOVED),
        (expired, CertState.EXPIRED),
        (not vouched, CertState.UNKNOWN),
    ):
        if holds:
            return state
    return CertState.UNEXPIRED


def told_row(credentials: Sequence[Credential], epoch: int, now: float) -> RowState:
    """The state of the row: its sentences over every credential, without any sum kept in between.

    A vouched one ends with its voucher, all others with their certificate.
    """
    if not credentials:
        return CertState.UNISSUED, None
    states = [told_state(one, epoch, now) for one in credentials]
    for wanted in (CertState.UNEXPIRED, CertState.UNKNOWN):
        if wanted in states:
            deciding = [one for one, state in zip(credentials, states, strict=True) if state is wanted]
            ends = [one.vouched_until if wanted is CertState.UNEXPIRED else one.not_after for one in deciding]
            return wanted, max((end for end in ends if end is not None), default=None)
    newest = sorted(credentials, key=lambda one: (one.issued_at, one.number))[-1]
    return told_state(newest, epoch, now), newest.not_after


def told_can_get_in(credentials: Sequence[Credential], epoch: int, now: float) -> CanGetIn:
    """`no` where each is proved removed, expired or not yet valid; `yes` by system:masters; else `unproven`."""
    open_ones = [
        one
        for one in credentials
        if one.removed_by is not RemovedBy.PROVED
        and not (one.not_after is not None and not one.not_before <= now <= one.not_after)
    ]
    good = [one for one in open_ones if told_state(one._replace(removed_at=None), epoch, now) is CertState.UNEXPIRED]
    if any(one.masters for one in good):
        return CanGetIn.YES
    return CanGetIn.UNPROVEN if open_ones else CanGetIn.NO


# --- what can be recorded, and the moments at which something changes

times = st.integers(0, 12)


@st.composite
def recorded(draw: st.DrawFn, number: int) -> Credential:
    """Any facts that the store can hold: a voucher ends no later than the certificate, and a record has none."""
    not_before = draw(times)
    not_after = draw(st.none() | st.integers(not_before, 14))
    vouched_until = None if not_after is None else draw(st.none() | st.integers(0, not_after))
    removed_by = draw(st.none() | st.sampled_from(RemovedBy))
    return Credential(
        number,
        draw(times),
        not_before,
        not_after,
        vouched_until,
        draw(st.integers(EPOCH - 1, EPOCH)),
        masters=draw(st.booleans()),
        removed_at=None if removed_by is None else draw(times),
        removed_by=removed_by,
    )


@st.composite
def held(draw: st.DrawFn) -> list[Credential]:
    numbers = draw(st.permutations(range(1, 1 + draw(st.integers(0, 6)))))
    return [draw(recorded(number)) for number in numbers]


def moments(credentials: Sequence[Credential]) -> Iterator[float]:
    """Every moment at which a state may change, and one microsecond around it."""
    boundaries = {0, 15}
    for one in credentials:
        boundaries |= {end for end in (one.not_before, one.not_after, one.vouched_until) if end is not None}
    for boundary in sorted(boundaries):
        yield from (boundary - MICROSECOND, boundary, boundary + MICROSECOND)


@settings(deadline=None, max_examples=200)
@given(held())
def test_a_row_is_what_its_credentials_say_at_every_moment(credentials: list[Credential]) -> None:
    holding = holding_of(credentials, EPOCH)
    for now in moments(credentials):
        assert state_of_row(holding, EPOCH, now) == told_row(credentials, EPOCH, now)


@settings(deadline=None, max_examples=100)
@given(held(), st.sampled_from([EPOCH + 1, 0]))
def test_a_holding_of_another_trust_epoch_vouches_for_nothing(credentials: list[Credential], epoch: int) -> None:
    holding = holding_of(credentials, EPOCH)
    for now in moments(credentials):
        state, expires_at = state_of_row(holding, epoch, now)
        assert (state, expires_at) == told_row(credentials, epoch, now)
        assert state is not CertState.UNEXPIRED


@settings(deadline=None, max_examples=100)
@given(held())
def test_each_credential_and_can_get_in_are_what_the_prose_says(credentials: list[Credential]) -> None:
    for now in moments(credentials):
        assert can_get_in(credentials, EPOCH, now) is told_can_get_in(credentials, EPOCH, now)
        for one in credentials:
            state = state_of_credential(one, EPOCH, now)
            assert state is told_state(one, EPOCH, now)
            assert is_live(one, now) == (state in (CertState.UNEXPIRED, CertState.UNKNOWN))
            assert not is_current(one._replace(removal_requested_at=1), now)
            assert is_current(one, now) == is_live(one, now)


@settings(deadline=None)
@given(held(), st.randoms())
def test_the_order_in_which_credentials_are_read_does_not_matter(credentials: list[Credential], random: object) -> None:
    shuffled = list(credentials)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert holding_of(shuffled, EPOCH) == holding_of(credentials, EPOCH)


# --- examples


def test_at_not_after_itself_it_is_valid_and_a_microsecond_later_expired() -> None:
    assert row_at(200, credential()) == (CertState.UNEXPIRED, 200)
    assert row_at(200 + MICROSECOND, credential()) == (CertState.EXPIRED, 200)


def test_before_its_not_before_it_is_unexpired_and_cannot_get_in() -> None:
    assert row_at(100 - MICROSECOND, credential()) == (CertState.UNEXPIRED, 200)
    assert can_get_in([credential()], EPOCH, 100 - MICROSECOND) is CanGetIn.NO
    assert can_get_in([credential()], EPOCH, 100) is CanGetIn.UNPROVEN


def test_a_chain_that_ends_before_the_leaf_leaves_it_unknown_until_the_leaf_ends() -> None:
    short = credential(vouched_until=150)
    assert row_at(150, short) == (CertState.UNEXPIRED, 150)
    assert row_at(150 + MICROSECOND, short) == (CertState.UNKNOWN, 200)
    assert row_at(200, short) == (CertState.UNKNOWN, 200)
    assert row_at(200 + MICROSECOND, short) == (CertState.EXPIRED, 200)


def test_nobody_vouches_for_a_certificate_judged_by_another_bundle() -> None:
    assert row_at(150, credential(trust_epoch=EPOCH - 1)) == (CertState.UNKNOWN, 200)


def test_a_record_without_certificate_stays_unknown_and_has_no_expiry() -> None:
    record = credential(**RECORD)
    assert row_at(10**9, record) == (CertState.UNKNOWN, None)
    assert row_at(10**9, record, credential()) == (CertState.UNKNOWN, None)
    assert row_at(150, record, credential()) == (CertState.UNEXPIRED, 200)
    assert row_at(150, record, credential(2, **UNVOUCHED)) == (CertState.UNKNOWN, 200)


def test_a_removed_record_without_certificate_is_removed_and_has_no_expiry() -> None:
    assert row_at(10**9, credential(**{**RECORD, **PROVED})) == (CertState.REMOVED, None)


def test_without_a_credential_it_is_unissued() -> None:
    assert row_at(0) == (CertState.UNISSUED, None)
    assert can_get_in([], EPOCH, 0) is CanGetIn.NO


def test_one_unexpired_decides_over_any_number_of_others() -> None:
    others = [credential(2, **PROVED), credential(3, **UNVOUCHED, not_after=900), credential(4, not_after=120)]
    assert row_at(150, credential(), *others) == (CertState.UNEXPIRED, 200)


def test_an_expired_one_that_nobody_vouched_for_is_expired() -> None:
    assert row_at(201, credential(**UNVOUCHED)) == (CertState.EXPIRED, 200)


def test_removed_and_over_is_removed() -> None:
    assert row_at(300, credential(**PROVED)) == (CertState.REMOVED, 200)


ENDED = {"not_after": 140, "vouched_until": 140}


@pytest.mark.parametrize("order", [1, -1])
def test_where_none_lives_the_newest_decides(order: int) -> None:
    older, newer = credential(2, issued_at=100, **PROVED), credential(1, issued_at=101, **ENDED)
    assert row_at(160, *[older, newer][::order]) == (CertState.EXPIRED, 140)
    older, newer = credential(2, issued_at=100, **ENDED), credential(1, issued_at=101, **PROVED)
    assert row_at(160, *[older, newer][::order]) == (CertState.REMOVED, 200)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_issued_at_once_the_one_recorded_last_decides(order: int) -> None:
    removed, ended = credential(1, **PROVED), credential(2, **ENDED)
    assert row_at(160, *[removed, ended][::order]) == (CertState.EXPIRED, 140)
    removed, ended = credential(2, **PROVED), credential(1, **ENDED)
    assert row_at(160, *[removed, ended][::order]) == (CertState.REMOVED, 200)


def test_an_attestation_leaves_the_question_open_and_a_proof_closes_it() -> None:
    assert row_at(160, credential(**ATTESTED)) == row_at(160, credential(**PROVED)) == (CertState.REMOVED, 200)
    assert can_get_in([credential(**ATTESTED)], EPOCH, 160) is CanGetIn.UNPROVEN
    assert can_get_in([credential(**PROVED)], EPOCH, 160) is CanGetIn.NO


def test_a_wish_for_removal_is_no_removal() -> None:
    wished = credential(removal_requested_at=150)
    assert row_at(160, wished) == (CertState.UNEXPIRED, 200)
    assert is_live(wished, 160)
    assert not is_current(wished, 160)


@pytest.mark.parametrize("facts", [{}, ATTESTED])
def test_system_masters_gets_in_while_it_lasts(facts: dict[str, object]) -> None:
    masters = credential(masters=True, **facts)
    assert can_get_in([credential(2), masters], EPOCH, 200) is CanGetIn.YES
    assert can_get_in([masters], EPOCH, 200 + MICROSECOND) is CanGetIn.NO
    assert can_get_in([masters], EPOCH, 99) is CanGetIn.NO
    assert can_get_in([masters], EPOCH + 1, 150) is CanGetIn.UNPROVEN


def test_only_a_proof_keeps_system_masters_out() -> None:
    assert can_get_in([credential(masters=True, **PROVED)], EPOCH, 160) is CanGetIn.NO
