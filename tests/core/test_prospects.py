"""What asking a removal leads to, for every way in which a cluster is kept."""

import itertools

import pytest

from kubecustody.core.prospects import Keeping, Prospect, foresee
from kubecustody.core.states import Credential, RemovedBy

NOW = 1000.0
LIVE = Credential(number=1, issued_at=1, not_before=1, not_after=2000, vouched_until=2000, trust_epoch=1)
EVERY_KEEPING = [Keeping(*flags) for flags in itertools.product((False, True), repeat=2)]


@pytest.mark.parametrize("keeping", EVERY_KEEPING)
def test_what_cannot_get_in_has_nothing_to_lose(keeping: Keeping) -> None:
    dead = [
        LIVE._replace(not_after=999),
        *(LIVE._replace(removed_at=1, removed_by=by) for by in RemovedBy),
        LIVE._replace(removed_at=1, removed_by=RemovedBy.PROVED, masters=True),
    ]
    assert {foresee(one, keeping, NOW) for one in dead} == {Prospect.NOTHING}


@pytest.mark.parametrize("keeping", EVERY_KEEPING)
def test_a_member_of_masters_lives_on_however_the_cluster_is_kept(keeping: Keeping) -> None:
    assert foresee(LIVE._replace(masters=True), keeping, NOW) is Prospect.LIVES_ON


@pytest.mark.parametrize(
    ("managed", "attests", "prospect"),
    [
        (False, False, Prospect.WISH),
        (True, False, Prospect.PROOF),
        (False, True, Prospect.ATTESTATION),
        (True, True, Prospect.ATTESTATION),
    ],
)
@pytest.mark.parametrize("not_after", [None, 1000, 2000])
def test_what_lives_is_lost_as_the_cluster_is_kept(
    managed: bool, attests: bool, prospect: Prospect, not_after: int | None
) -> None:
    assert foresee(LIVE._replace(not_after=not_after), Keeping(managed, attests), NOW) is prospect
