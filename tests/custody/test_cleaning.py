"""Cleaning what a person holds in a cluster: who may be cleaned, what changes, and what stays as it was."""

from collections.abc import Iterator
from typing import Any

import pytest

from custody.books import ask, check_books, contents
from custody.fleets import ANNA, BERT, NOW, Fleet
from custody.issuers import REQUEST_ID, Issuer
from kubecustody.catalogue.states import ListClusterKubeconfigStatesInput
from kubecustody.core.errors import (
    AuditNotReadable,
    CleanForbidden,
    ClusterNotFound,
    ClusterStateForbids,
    RequestError,
    UserNotFound,
)
from kubecustody.custody.authentication import Caller
from kubecustody.custody.clusters import delete_cluster
from kubecustody.custody.installation import Custody
from kubecustody.custody.kubeconfig_states import list_cluster_kubeconfig_states
from kubecustody.custody.principals import delete_principal
from kubecustody.custody.signers import end_signer
from pki.openssl import Made, Openssl


@pytest.fixture
def issuer(fleet: Fleet) -> Iterator[Issuer]:
    issuer = Issuer(fleet)
    yield issuer
    check_books(fleet.path)


def refused(issuer: Issuer, error: type[RequestError], **named: Any) -> Any:
    """The error, once it was checked that nothing changed."""
    before = contents(issuer.fleet.path)
    with pytest.raises(error) as caught:
        issuer.clean(**named)
    assert contents(issuer.fleet.path) == before
    return caught.value


def holders(issuer: Issuer, now: float = NOW) -> dict[str, tuple[str, str]]:
    """Uid to account_state and cert_state, as the list by cluster has them."""
    caller = Caller(issuer.fleet.account_id, issuer.fleet.account_id, "account", "KEY", "local", 1, 1, 1)
    request = ListClusterKubeconfigStatesInput(issuer.cluster_id)

    async def work(custody: Custody) -> Any:
        return await custody.store.read(lambda tx: list_cluster_kubeconfig_states(tx, caller, request, now))

    answer = issuer.fleet.installation.run(work)
    assert answer.page.total_count == len(answer.states)
    return {row.account_id: (row.account_state, row.cert_state) for row in answer.states}


# --- refusals


def test_the_account_is_never_cleaned(issuer: Issuer) -> None:
    issuer.get_for(issuer.fleet.account_id)
    assert "account" in refused(issuer, CleanForbidden, uid=issuer.fleet.account_id).whom
    assert "account" in refused(issuer, CleanForbidden, uid=issuer.fleet.account_id, by=issuer.fleet.account_id).whom


def test_nobody_cleans_themselves(issuer: Issuer) -> None:
    issuer.get(ANNA)
    assert "caller" in refused(issuer, CleanForbidden, uid=ANNA, by=ANNA).whom


def test_nobody_cleans_who_never_was(issuer: Issuer) -> None:
    assert refused(issuer, UserNotFound, uid="299").uid == "299"


def test_nothing_is_cleaned_in_a_cluster_that_never_was(issuer: Issuer) -> None:
    issuer.cluster_id = "c-none"
    assert refused(issuer, ClusterNotFound).cluster_id == "c-none"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("state", ["delete_failed", "deleting", "failed", "deleted"])
def test_in_a_cluster_that_is_going_or_gone_nothing_is_cleaned(issuer: Issuer, state: str, *, force: bool) -> None:
    issuer.get()
    if state == "deleted":
        issuer.fleet.change(delete_cluster, "prod")
    else:
        issuer.set(told_state=state)
    assert state in refused(issuer, ClusterStateForbids, force=force).reason


def test_without_force_the_access_records_cannot_be_read_and_nothing_changes(issuer: Issuer) -> None:
    issuer.get()
    assert refused(issuer, AuditNotReadable, force=False).cluster_id == issuer.cluster_id


# --- with Force


@pytest.mark.parametrize("state", ["running", "stopped", "initial", "updating"])
def test_with_force_the_removal_of_everything_live_is_asked(issuer: Issuer, annas: Made, state: str) -> None:
    issuer.fleet.take_one(annas.certificate)
    issuer.get()
    issuer.get(minutes=15)
    issuer.set(told_state=state)
    issuer.fleet.new_events()
    issuer.clean(now=NOW + 5)
    assert issuer.wishes() == [NOW + 5] * 3
    assert issuer.fleet.new_events() == ["removal_requested"] * 3
    sql = "SELECT DISTINCT actor, request_id, uid FROM events WHERE kind = 'removal_requested'"
    assert ask(issuer.fleet.path, sql) == [(f"acs:ram::{issuer.fleet.account_id}:user/{BERT}", REQUEST_ID, ANNA)]


def test_the_state_stays_until_there_is_evidence(issuer: Issuer) -> None:
    issuer.get()
    issuer.clean()
    row = issuer.fleet.row(ANNA)
    assert (row.cert_state, row.live_credential_count, row.can_get_in) == ("Unexpired", 1, "unproven")
    assert row.removal_requested_at is not None
    assert holders(issuer) == {ANNA: ("Active", "Unexpired")}
    issuer.fleet.attest(user=ANNA)
    assert issuer.fleet.state(ANNA) == "Removed"
    assert holders(issuer) == {}


def test_what_was_cleaned_is_never_handed_out_again(issuer: Issuer) -> None:
    old = issuer.get()
    issuer.clean()
    new = issuer.get(now=NOW + 1)
    assert new != old
    assert issuer.get(now=NOW + 2) == new
    assert issuer.wishes() == [NOW, None]


def test_a_validity_that_the_account_set_is_lost(issuer: Issuer) -> None:
    issuer.set_validity(720)
    first = issuer.get()
    issuer.clean()
    assert issuer.get().expiration > first.expiration


def test_cleaned_twice_is_as_once(issuer: Issuer) -> None:
    issuer.get()
    issuer.clean(now=NOW + 1)
    issuer.fleet.new_events()
    issuer.clean(now=NOW + 2)
    assert issuer.wishes() == [NOW + 1] and issuer.fleet.new_events() == []


def test_who_holds_nothing_is_clean(issuer: Issuer) -> None:
    issuer.clean()
    assert issuer.fleet.new_events() == [] and issuer.fleet.state(ANNA) == "Unissued"


def test_nobody_elses_and_nothing_dead_is_touched(issuer: Issuer) -> None:
    issuer.get(BERT)
    issuer.get(minutes=15)
    issuer.get()
    issuer.clean(now=NOW + 901)
    assert issuer.wishes() == [None, NOW + 901] and issuer.wishes(BERT) == [None]


def test_a_deleted_user_can_be_cleaned(issuer: Issuer) -> None:
    issuer.get()
    issuer.fleet.change(delete_principal, ANNA)
    assert holders(issuer) == {ANNA: ("Deleted", "Unexpired")}
    issuer.clean()
    assert issuer.wishes() == [NOW]
    assert holders(issuer) == {ANNA: ("Deleted", "Unexpired")}


def test_cleaning_needs_no_signer(issuer: Issuer) -> None:
    issuer.get()
    issuer.fleet.change(end_signer, "prod")
    issuer.clean()
    assert issuer.wishes() == [NOW]


# --- attest_on_clean


def test_where_the_operator_said_so_beforehand_a_clean_is_attested(issuer: Issuer) -> None:
    issuer.set(attest_on_clean=True)
    issuer.get()
    issuer.get(minutes=15)
    issuer.fleet.new_events()
    issuer.clean()
    row = issuer.fleet.row(ANNA)
    assert (row.cert_state, row.can_get_in) == ("Removed", "unproven")
    assert "attested" in row.cert_state_reason
    assert sorted(issuer.fleet.new_events()) == ["removal_attested"] * 2 + ["removal_requested"] * 2
    issuer.get(now=NOW + 1)
    assert issuer.fleet.state(ANNA) == "Unexpired"


def test_attest_on_clean_is_off_until_it_is_set_and_can_be_taken_back(issuer: Issuer) -> None:
    issuer.set(attest_on_clean=True)
    issuer.set(attest_on_clean=False)
    issuer.get()
    issuer.clean()
    assert issuer.fleet.state(ANNA) == "Unexpired"


def test_a_cluster_that_answers_proves_a_removal_itself_whatever_was_said_beforehand(issuer: Issuer) -> None:
    issuer.set(attest_on_clean=True)
    issuer.observe(reachable=True)
    issuer.get()
    issuer.clean()
    assert issuer.fleet.state(ANNA) == "Unexpired" and issuer.wishes() == [NOW]


def test_system_masters_is_not_attested_by_a_clean(issuer: Issuer, openssl: Openssl, ca: Made) -> None:
    issuer.set(attest_on_clean=True)
    masters = openssl.make(f"/O=system:masters/CN={ANNA}", by=ca)
    issuer.fleet.take_one(masters.certificate)
    issuer.clean()
    row = issuer.fleet.row(ANNA)
    assert (row.cert_state, row.can_get_in) == ("Unexpired", "yes") and row.removal_requested_at is not None


def test_an_attested_clean_says_why(issuer: Issuer) -> None:
    """An attestation needs a reason; this one's is that it was set for the cluster."""
    issuer.set(attest_on_clean=True)
    issuer.get()
    issuer.clean()
    ((reason,),) = ask(issuer.fleet.path, "SELECT reason FROM removals")
    assert "attest_on_clean" in reason
