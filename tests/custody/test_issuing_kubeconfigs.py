"""Getting, renewing and revoking kubeconfigs: what is issued, handed out again, asked to be removed, and written."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from custody.books import ask, check_books, contents
from custody.fleets import ANNA, BERT, NOW, Fleet
from custody.issuers import DAY, REQUEST_ID, Issuer, certificate_of, document_of
from installations import AUTHOR
from kubecustody.catalogue.kubeconfigs import UserKubeconfigInput
from kubecustody.core.errors import ClusterNotFound, ClusterStateForbids, TooManyCredentials, UserNotFound
from kubecustody.core.names import PrincipalKind
from kubecustody.core.states import ClusterState
from kubecustody.core.times import format_time
from kubecustody.custody.authentication import Caller
from kubecustody.custody.changes import Author, change
from kubecustody.custody.clusters import delete_cluster
from kubecustody.custody.handlers import get_change_handler
from kubecustody.custody.installation import Custody, open_custody, rotate_master_key
from kubecustody.custody.principals import add_principal, delete_principal, set_principal_disabled
from kubecustody.custody.signers import end_signer, import_signer, make_signer
from kubecustody.pki.issuing import PemPair
from pki.openssl import Made, Openssl


@pytest.fixture
def issuer(fleet: Fleet) -> Iterator[Issuer]:
    issuer = Issuer(fleet)
    yield issuer
    check_books(fleet.path)


def expiry(days: float, now: int = NOW) -> str:
    return format_time(int(now + days * DAY))


# --- long-lived


def test_who_asks_twice_gets_the_same_bytes(issuer: Issuer) -> None:
    first = issuer.get()
    assert first.expiration == expiry(90) == format_time(certificate_of(first).not_after)
    assert issuer.get(now=NOW + 59 * DAY) == first
    assert issuer.fleet.state(ANNA) == "Unexpired"


def test_the_certificate_is_the_askers_own(issuer: Issuer) -> None:
    anna, bert = certificate_of(issuer.get(ANNA)), certificate_of(issuer.get(BERT))
    for uid, certificate in ((ANNA, anna), (BERT, bert)):
        assert certificate.organizations == ("system:users",)
        assert (certificate.common_name or "").startswith(f"{uid}-{NOW}")
        assert certificate.not_before == NOW - 300
    assert anna.serial != bert.serial and anna.common_name != bert.common_name


def test_renewal_in_the_last_third_issues_anew_and_the_one_before_lives_on(issuer: Issuer) -> None:
    first = issuer.get()
    second = issuer.get(now=NOW + 60 * DAY)
    assert second.expiration == expiry(150)
    assert issuer.wishes() == [None, None]
    row = issuer.fleet.row(ANNA, now=NOW + 61 * DAY)
    assert (row.cert_expire_time, row.live_credential_count) == (second.expiration, 2)
    assert issuer.get(now=NOW + 61 * DAY) == second != first


def test_of_the_providers_three_years_renewal_begins_180_days_before_the_end(issuer: Issuer) -> None:
    issuer.configure(validity_days=1095)
    first = issuer.get()
    assert first.expiration == expiry(1095)
    assert issuer.get(now=NOW + 914 * DAY) == first
    assert issuer.get(now=NOW + 915 * DAY).expiration == expiry(1095 + 915)


@pytest.mark.parametrize("key_type", ["rsa2048", "ed25519"])
def test_the_kind_of_key_is_a_setting(issuer: Issuer, key_type: str) -> None:
    issuer.configure(certificate_key_type=key_type)
    answer = issuer.get()
    kind = type(certificate_of(answer).parsed.public_key()).__name__
    assert kind.lower().startswith(key_type[:3])
    assert issuer.get() == answer


def test_at_the_limit_the_error_names_the_oldest(issuer: Issuer) -> None:
    issuer.configure(most_long_lived=3)
    oldest = certificate_of(issuer.get())
    for hours in (700, 701):
        issuer.set_validity(hours)
        issuer.get(now=NOW + hours)
    issuer.set_validity(702)
    before = contents(issuer.fleet.path)
    with pytest.raises(TooManyCredentials) as caught:
        issuer.get(now=NOW + 900)
    assert (caught.value.limit, caught.value.oldest_fingerprint) == (3, oldest.fingerprint_hex)
    assert contents(issuer.fleet.path) == before
    assert issuer.get(BERT).expiration == expiry(90)
    assert issuer.get(minutes=15)
    issuer.revoke()
    assert issuer.get().expiration == expiry(90)


def test_one_credential_for_two_who_ask_at_once(issuer: Issuer) -> None:
    caller = Caller(issuer.fleet.account_id, ANNA, "user", "KEY", "local", 1, 1, 1)
    handler = get_change_handler("DescribeClusterUserKubeconfig")
    request = UserKubeconfigInput(issuer.cluster_id)

    async def ask_one(custody: Custody) -> Any:
        author = Author(caller.actor, REQUEST_ID)
        return await change(
            custody.store, caller.account_id, author, NOW, lambda unit: handler(custody, unit, caller, request)
        )

    async def both() -> list[Any]:
        opened = [await open_custody(issuer.fleet.installation.settings) for _ in range(2)]
        try:
            return await asyncio.gather(*(ask_one(custody) for _, custody in opened for _ in range(4)))
        finally:
            for store, _ in opened:
                store.close()

    answers = asyncio.run(both())
    assert len({answer.config for answer in answers}) == 1
    kinds = issuer.fleet.new_events()
    assert (kinds.count("credential_issued"), kinds.count("private_key_disclosed")) == (1, 8)


# --- temporary


def test_a_temporary_one_is_given_again_while_half_its_life_is_left(issuer: Issuer) -> None:
    first = issuer.get(minutes=60)
    assert first.expiration == format_time(NOW + 3600)
    assert issuer.get(minutes=60, now=NOW + 1800) == first
    second = issuer.get(minutes=60, now=NOW + 1801)
    assert second.expiration == format_time(NOW + 1801 + 3600)
    assert issuer.get(minutes=61).expiration == format_time(NOW + 3660)
    assert issuer.wishes() == [None] * 3


def test_a_temporary_one_stands_beside_the_long_lived_one(issuer: Issuer) -> None:
    short = issuer.get(minutes=15)
    long = issuer.get()
    assert (short.expiration, long.expiration) == (format_time(NOW + 900), expiry(90))
    assert issuer.get(minutes=15) == short and issuer.get() == long
    assert issuer.fleet.row(ANNA).live_credential_count == 2
    assert issuer.fleet.row(ANNA, now=NOW + 901).live_credential_count == 1


def test_more_temporary_ones_than_the_limit_are_refused_until_one_ends(issuer: Issuer) -> None:
    issuer.configure(most_temporary=5)
    oldest = certificate_of(issuer.get(minutes=15))
    for minutes in range(16, 20):
        issuer.get(minutes=minutes, now=NOW + 1)
    with pytest.raises(TooManyCredentials) as caught:
        issuer.get(minutes=20, now=NOW + 2)
    assert caught.value.oldest_fingerprint == oldest.fingerprint_hex
    assert issuer.get(minutes=20, now=NOW + 901)


def test_six_hundred_temporary_ones_are_five_hundred(issuer: Issuer) -> None:
    caller = Caller(issuer.fleet.account_id, ANNA, "user", "KEY", "local", 1, 1, 1)
    handler = get_change_handler("DescribeClusterUserKubeconfig")

    async def one(custody: Custody, minutes: int) -> Any:
        request = UserKubeconfigInput(issuer.cluster_id, temporary_duration_minutes=minutes)
        author = Author(caller.actor, REQUEST_ID)
        return await change(
            custody.store, caller.account_id, author, NOW, lambda unit: handler(custody, unit, caller, request)
        )

    async def all_of_them(custody: Custody) -> list[Any]:
        lengths = range(3000, 3600)
        return await asyncio.gather(*(one(custody, minutes) for minutes in lengths), return_exceptions=True)

    answers = issuer.fleet.installation.run(all_of_them)
    refused = [answer for answer in answers if isinstance(answer, TooManyCredentials)]
    assert (len(answers) - len(refused), len(refused)) == (500, 100)
    assert {error.oldest_fingerprint for error in refused} == {certificate_of(answers[0]).fingerprint_hex}
    assert len({certificate_of(answer).common_name for answer in answers[:500]}) == 500
    assert issuer.fleet.row(ANNA).live_credential_count == 500
    assert issuer.get().expiration == expiry(90)


# --- keys


def test_every_handing_out_of_a_key_is_an_event_with_request_and_actor(issuer: Issuer) -> None:
    certificate = certificate_of(issuer.get())
    issuer.get()
    sql = "SELECT actor, request_id, uid, subject, details FROM events WHERE kind = 'private_key_disclosed'"
    rows = ask(issuer.fleet.path, sql)
    actor = f"acs:ram::{issuer.fleet.account_id}:user/{ANNA}"
    assert [row[:4] for row in rows] == [(actor, REQUEST_ID, ANNA, f"credential/{certificate.fingerprint_hex}")] * 2
    assert issuer.fleet.new_events() == ["credential_issued", "private_key_disclosed", "private_key_disclosed"]


def test_what_is_kept_of_a_key_is_sealed(issuer: Issuer) -> None:
    key = document_of(issuer.get())["users"][0]["user"]["client-key-data"]
    rows = json.dumps(contents(issuer.fleet.path), default=lambda value: value.decode("latin-1"))
    assert key not in rows and "PRIVATE KEY" not in rows


def test_a_new_master_key_changes_no_kubeconfig(issuer: Issuer) -> None:
    before = issuer.get()

    async def rotate(custody: Custody) -> int:
        return await rotate_master_key(custody.settings, custody, AUTHOR, NOW)

    issuer.fleet.installation.run(rotate)
    assert issuer.get() == before
    assert issuer.get(BERT).expiration == expiry(90)


def test_where_keys_are_not_kept_each_call_issues_anew_and_asks_the_removal_of_the_one_before(issuer: Issuer) -> None:
    issuer.configure(keep_private_keys="off")
    serials = {certificate_of(issuer.get(now=NOW + second)).serial for second in range(4)}
    assert len(serials) == 4
    assert issuer.wishes() == [NOW + 1, NOW + 2, NOW + 3, None]
    assert contents(issuer.fleet.path)["private_keys"] == []
    assert issuer.fleet.new_events().count("private_key_disclosed") == 4


def test_where_keys_are_not_kept_the_limit_never_stops_a_renewal(issuer: Issuer) -> None:
    issuer.configure(keep_private_keys="off", most_long_lived=1)
    issuer.get()
    assert issuer.get(now=NOW + 1)


# --- whose


def test_the_account_gets_what_the_person_gets(issuer: Issuer) -> None:
    assert issuer.get_for(ANNA) == issuer.get(ANNA)
    assert issuer.get(ANNA) != issuer.get_for(BERT)


def test_a_role_and_the_account_have_kubeconfigs_too(issuer: Issuer) -> None:
    issuer.fleet.change(add_principal, kind=PrincipalKind.ROLE, name="ops", uid="3111")
    for uid in ("3111", issuer.fleet.account_id):
        assert (certificate_of(issuer.get_for(uid)).common_name or "").startswith(f"{uid}-")


def test_nobody_gets_one_for_who_is_deleted_or_unknown(issuer: Issuer) -> None:
    issuer.fleet.change(delete_principal, ANNA)
    for uid in (ANNA, "299"):
        with pytest.raises(UserNotFound):
            issuer.get_for(uid)


def test_a_disabled_persons_can_be_got_by_the_account(issuer: Issuer) -> None:
    issuer.fleet.change(set_principal_disabled, ANNA, disabled=True)
    assert issuer.get_for(ANNA)


# --- revoke


def test_revoke_asks_the_removal_of_all_and_issues_another(issuer: Issuer, annas: Made) -> None:
    issuer.fleet.take_one(annas.certificate)
    old = [issuer.get(), issuer.get(minutes=4320)]
    issuer.fleet.new_events()
    issuer.revoke(now=NOW + 5)
    assert issuer.wishes() == [NOW + 5, NOW + 5, NOW + 5, None]
    assert issuer.fleet.new_events() == ["removal_requested"] * 3 + ["credential_issued"]
    new = issuer.get(now=NOW + 6)
    assert issuer.get(minutes=4320, now=NOW + 6) not in old and new not in old
    assert issuer.fleet.row(ANNA, now=NOW + 6).live_credential_count == 5


def test_what_was_revoked_is_never_handed_out_again(issuer: Issuer) -> None:
    old = issuer.get()
    issuer.revoke(now=NOW + 5)
    later = [issuer.get(now=NOW + 5 + day * DAY) for day in range(0, 90, 15)]
    assert old not in later
    assert issuer.wishes()[0] == NOW + 5


def test_revoke_without_anything_to_revoke_issues_one(issuer: Issuer) -> None:
    issuer.revoke()
    assert issuer.fleet.new_events() == ["credential_issued"]
    assert issuer.get().expiration == expiry(90)


def test_revoke_touches_nobody_else(issuer: Issuer) -> None:
    berts = issuer.get(BERT)
    issuer.revoke(ANNA)
    assert issuer.get(BERT) == berts and issuer.wishes(BERT) == [None]


def test_a_second_revoke_keeps_the_first_moment_of_the_wish(issuer: Issuer) -> None:
    issuer.get()
    issuer.revoke(now=NOW + 5)
    issuer.revoke(now=NOW + 9)
    assert issuer.wishes() == [NOW + 5, NOW + 9, None]


# --- a validity of the account's choice


def test_a_set_validity_holds_from_the_next_kubeconfig_on_and_is_lost_at_revoke(issuer: Issuer) -> None:
    first = issuer.get()
    issuer.set_validity(720)
    second = issuer.get()
    assert second.expiration == expiry(30)
    assert issuer.get(now=NOW + 19 * DAY) == second != first
    assert issuer.wishes() == [None, None]
    issuer.revoke()
    assert issuer.get().expiration == expiry(90)


def test_a_validity_set_within_the_second_of_an_issue_parts_before_from_after(issuer: Issuer) -> None:
    seen = []
    for hours in (720, 700, 720):
        issuer.set_validity(hours)
        seen.append(issuer.get().expiration)
        assert issuer.get().expiration == seen[-1]
    assert seen == [expiry(30), expiry(700 / 24), expiry(30)]


def test_a_set_validity_is_nobody_elses_and_no_temporary_ones(issuer: Issuer) -> None:
    issuer.set_validity(720)
    assert issuer.get(BERT).expiration == expiry(90)
    assert issuer.get(minutes=15).expiration == format_time(NOW + 900)


def test_a_validity_of_a_hundred_years_ends_with_the_ca(issuer: Issuer) -> None:
    issuer.set_validity(876_000)
    assert issuer.get().expiration == expiry(3650)


def test_setting_a_validity_is_an_event_and_needs_a_person_and_a_cluster(issuer: Issuer) -> None:
    issuer.set_validity(720)
    assert issuer.fleet.new_events() == ["validity_set"]
    with pytest.raises(UserNotFound):
        issuer.set_validity(720, uid="299")
    issuer.cluster_id = "c-none"
    with pytest.raises(ClusterNotFound):
        issuer.set_validity(720)


# --- the cluster


def test_the_text_says_where_the_cluster_is_and_how_it_proves_itself(issuer: Issuer, ca: Made) -> None:
    issuer.set(server_ca=ca.certificate, tls_server_name="api.prod.example")
    cluster = document_of(issuer.get())["clusters"][0]["cluster"]
    assert cluster["server"] == "https://203.0.113.7:6443"
    assert cluster["tls-server-name"] == "api.prod.example" and cluster["certificate-authority-data"]
    private = document_of(issuer.get(private=True))
    assert private["clusters"][0]["cluster"]["server"] == "https://10.0.0.7:6443"
    assert private["users"] == document_of(issuer.get())["users"]


@pytest.mark.parametrize("private", [False, True])
def test_a_missing_address_is_told_with_its_cure_and_nothing_is_issued(issuer: Issuer, *, private: bool) -> None:
    issuer.set(**{"private_endpoint" if private else "public_endpoint": ""})
    before = contents(issuer.fleet.path)
    with pytest.raises(ClusterStateForbids) as caught:
        issuer.get(private=private)
    kind, option = ("intranet", "--private-endpoint") if private else ("public", "--public-endpoint")
    assert kind in caught.value.reason and option in caught.value.reason
    assert contents(issuer.fleet.path) == before
    assert issuer.get(private=not private)


@pytest.mark.parametrize(
    "state", sorted(set(ClusterState) - {"running", "updating", "updating_failed", "scaling", "deleted"})
)
def test_in_a_cluster_that_does_not_run_nothing_is_issued(issuer: Issuer, state: str) -> None:
    issuer.set(told_state=state)
    with pytest.raises(ClusterStateForbids) as caught:
        issuer.get()
    assert state in caught.value.reason
    issuer.revoke()
    assert contents(issuer.fleet.path)["credentials"] == []


def test_in_a_deleted_cluster_nothing_is_issued(issuer: Issuer) -> None:
    issuer.fleet.change(delete_cluster, "prod")
    with pytest.raises(ClusterStateForbids):
        issuer.get()


def test_without_a_signer_nothing_is_issued_and_what_was_is_not_handed_out(issuer: Issuer) -> None:
    issuer.get()
    issuer.fleet.change(end_signer, "prod")
    with pytest.raises(ClusterStateForbids) as caught:
        issuer.get()
    assert "admin clusters signer" in caught.value.reason
    assert issuer.wishes() == [None]


def test_who_cannot_be_issued_another_can_still_revoke_what_leaked(issuer: Issuer) -> None:
    issuer.get()
    issuer.fleet.change(end_signer, "prod")
    issuer.revoke(now=NOW + 5)
    assert issuer.wishes() == [NOW + 5]


def test_an_expired_ca_issues_nothing_and_no_certificate_ends_after_its_ca(issuer: Issuer, openssl: Openssl) -> None:
    ends = NOW + 40 * DAY
    ca = openssl.make_ca("/CN=short", end=format_time(ends).translate({ord(letter): None for letter in "-:T"}))
    issuer.fleet.trust("prod", ca.certificate)
    issuer.fleet.change(import_signer, "prod", PemPair(ca.certificate, ca.key))
    assert issuer.get().expiration == format_time(ends)
    before = contents(issuer.fleet.path)
    for now in (ends, ends + 1):
        with pytest.raises(ClusterStateForbids) as caught:
            issuer.get(now=now)
        assert "CA that issues for it has expired" in caught.value.reason
    assert contents(issuer.fleet.path) == before


def test_a_ca_that_the_cluster_trusts_no_more_issues_nothing(issuer: Issuer, ca: Made) -> None:
    """Else each call would make one more that is Unknown and counts for no limit."""
    issuer.get()
    issuer.fleet.trust("prod", ca.certificate)
    before = contents(issuer.fleet.path)
    for ask_for in (issuer.get, lambda: issuer.get(minutes=15)):
        with pytest.raises(ClusterStateForbids) as caught:
            ask_for()
        assert "--client-ca" in caught.value.reason
    assert contents(issuer.fleet.path) == before
    issuer.fleet.new_events()
    issuer.revoke(now=NOW + 5)
    assert issuer.wishes() == [NOW + 5], "a key that leaked is ended all the same"
    assert issuer.fleet.new_events() == ["removal_requested"]


def test_a_second_ca_issues_and_what_the_first_issued_is_still_handed_out(issuer: Issuer) -> None:
    first = issuer.get()
    issuer.fleet.change(make_signer, "prod")
    assert issuer.get() == first
    second = certificate_of(issuer.get(BERT))
    assert second.parsed.issuer == certificate_of(first).parsed.issuer
    assert issuer.fleet.state(ANNA) == issuer.fleet.state(BERT) == "Unexpired"
    rows = ask(issuer.fleet.path, "SELECT signer_no FROM credentials ORDER BY credential_no")
    assert rows == [(1,), (2,)]


def test_names_by_setting(issuer: Issuer) -> None:
    assert document_of(issuer.get())["clusters"][0]["name"] == issuer.cluster_id
    issuer.configure(kubeconfig_names="provider")
    assert document_of(issuer.get())["clusters"][0]["name"] == "kubernetes"


def test_what_was_issued_here_and_is_imported_again_stays_one(issuer: Issuer) -> None:
    answer = issuer.get()
    issuer.fleet.take_one(answer.config.encode())
    assert issuer.fleet.row(ANNA).live_credential_count == 1
    assert issuer.get() == answer
