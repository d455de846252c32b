"""`at` on the lists, as a caller sends it."""

import time
from collections.abc import Iterator

import pytest
from homes import GET, HOLDERS, READ_ONLY, STATES, Home, served_home
from wire import Answer

from custody.books import ask, tell
from kubecustody.core.times import format_time
from kubecustody.custody.clusters import ClusterFields, add_cluster, set_cluster
from kubecustody.custody.removals import Selection, attest_removal


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("past")) as home:
        home.allow("anna", {"Action": f"cs:{GET}"})
        home.add("reader", READ_ONLY)
        yield home


def pause() -> str:
    """A time between two changes, in whole seconds."""
    time.sleep(1.1)
    told = format_time(int(time.time()))
    time.sleep(1.1)
    return told


def test_the_lists_answer_as_they_did(home: Home) -> None:
    uid, first = home.people["anna"].uid, home.clusters[0]
    before = pause()
    was = home.ask("reader", STATES, uid=uid).json
    assert [one["cert_state"] for one in was["states"]] == ["Unissued", "Unissued"]
    assert home.ask("anna", GET, first).status == 200
    home.installation.change(set_cluster, first, ClusterFields(name="renamed"))
    home.installation.change(add_cluster, ClusterFields(name="later"))
    between = pause()
    now = home.ask("reader", STATES, uid=uid).json
    holders = home.ask("reader", HOLDERS, first).json
    assert now["page"]["total_count"] == 3 and now["states"][0]["cert_state"] == "Unexpired"
    assert home.ask("reader", STATES, uid=uid, query=(("at", before),)).json == was
    assert home.ask("reader", STATES, uid=uid, query=(("at", between),)).json == now
    assert home.ask("reader", HOLDERS, first, query=(("at", between),)).json == holders
    assert home.ask("reader", HOLDERS, first, query=(("at", before),)).json["states"] == []
    for at, states in ((before, []), (between, ["Unexpired"])):
        rows = home.ask("reader", "ListCredentials", query=(("At", at),)).json["credentials"]
        assert [(row["cert_state"], row["uid"]) for row in rows] == [(state, uid) for state in states]
    (detailed, *_) = home.ask("reader", STATES, uid=uid, query=(("at", between), ("detail", "true"))).json["states"]
    assert detailed["live_credential_count"] == 1 and "can_get_in" not in detailed and "observed_at" not in detailed


def test_a_credential_is_described_as_it_was(home: Home) -> None:
    uid, second = home.people["anna"].uid, home.clusters[1]
    before = pause()
    assert home.ask("anna", GET, second).status == 200
    (row,) = home.ask("reader", "ListCredentials", query=(("ClusterId", second),)).json["credentials"]

    def described(at: str = "", name: str = row["fingerprint"]) -> Answer:
        query = (("At", at),) if at else ()
        return home.ask("reader", "DescribeCredential", second, query=query, Credential=name)

    was, between = described().json, pause()
    home.installation.change(attest_removal, which_cluster=second, selection=Selection(user=uid))
    pause()
    now = described().json
    assert (was["cert_state"], now["cert_state"]) == ("Unexpired", "Removed")
    then = described(between).json
    apart = ("evidence", "prospect", "private_key")
    assert {name: value for name, value in then.items() if name not in apart} == {
        name: value for name, value in was.items() if name not in apart
    }
    assert [one["kind"] for one in then["key_disclosures"]] == ["private_key_disclosed"]
    home.refusal(described(before), "ErrorCredentialNotFound")
    by_serial = described(between, row["serial"])
    assert "At: goes with a fingerprint" in home.refusal(by_serial, "InvalidParameter")


def test_what_cannot_be_told_is_refused_with_a_reason(home: Home) -> None:
    first = ask(home.path, "SELECT recorded_at_ms FROM events WHERE event_no = 1")[0][0]
    for at, told in (
        ("yesterday", "at: is 'yesterday'; it must be a time of RFC 3339"),
        (format_time(int(time.time()) + 3600), "at: is in the future: here it is"),
        (format_time(first // 1000 - 1), f"told from {format_time(-(-first // 1000))} on"),
    ):
        for operation in (STATES, HOLDERS):
            answer = home.ask("reader", operation, home.clusters[0], query=(("at", at),))
            assert told in home.refusal(answer, "InvalidParameter")


def test_a_store_that_an_older_program_began_tells_no_past(home: Home) -> None:
    at = format_time(int(time.time()))
    assert home.ask("reader", STATES, home.clusters[0], query=(("at", at),)).status == 200
    tell(home.path, "UPDATE accounts SET whole_history = 0")  # as the migration does to accounts that are there
    answer = home.ask("reader", STATES, home.clusters[0], query=(("at", at),))
    assert "an older program recorded its first events" in home.refusal(answer, "InvalidParameter")
    tell(home.path, "UPDATE accounts SET whole_history = 1")


def test_a_certificate_is_not_looked_up_in_the_past(home: Home) -> None:
    for name, value in (("Serial", "1"), ("Fingerprint", "a" * 64)):
        query = (("At", format_time(int(time.time()))), (name, value))
        answer = home.ask("reader", "ListCredentials", query=query)
        assert f"At: does not go with {name}; leave one of them out." in home.refusal(answer, "InvalidParameter")


def test_who_may_not_see_the_present_may_not_see_the_past(home: Home) -> None:
    home.refusal(home.ask("anna", STATES, query=(("at", format_time(int(time.time()))),)))
