"""What an operator told wrongly: noticed, or mended when the truth is known."""

import pytest

from custody.fleets import ANNA, BERT, NOW, Fleet
from installations import Installation, make_installation
from kubecustody.core.errors import OperatorError
from kubecustody.core.names import NameRefused, PrincipalKind
from kubecustody.custody.imports import Outcome, assign_holder
from kubecustody.custody.principals import add_principal
from kubecustody.kubeconfig.candidates import read_candidates
from kubecustody.pki.issuing import make_ca, make_client_certificate


def test_an_email_address_is_never_mistaken_for_a_name(tmp_path) -> None:
    installation: Installation = make_installation(tmp_path)
    add = {"kind": PrincipalKind.USER}
    installation.change(add_principal, name="alice", **add)
    with pytest.raises(NameRefused, match="is no e-mail address"):
        installation.change(add_principal, name="bob", email="alice", **add)
    installation.change(add_principal, name="bob", email="alice@example.com", **add)


def test_what_a_chain_proves_stands_above_what_somebody_said(fleet: Fleet) -> None:
    ca = make_ca("late CA", NOW - 1000, 3650)
    made = make_client_certificate(ca, f"{ANNA}-1", ["system:users"], NOW - 1000, NOW + 100_000)
    fleet.add_cluster("late")
    fleet.take_one(made.certificate, "late", holder=BERT)
    assert (fleet.state(BERT, "late"), fleet.state(ANNA, "late")) == ("Unknown", "Unissued")
    fleet.trust("late", ca.certificate)
    assert (fleet.state(BERT, "late"), fleet.state(ANNA, "late")) == ("Unissued", "Unexpired")


def test_a_holder_told_wrongly_is_changed_but_not_against_proof(fleet: Fleet) -> None:
    ca = make_ca("named CA", NOW - 1000, 3650)
    fleet.add_cluster("named")
    fleet.trust("named", ca.certificate)
    nameless = make_client_certificate(ca, "somebody", ["system:users"], NOW - 1000, NOW + 100_000)
    row = fleet.take_one(nameless.certificate, "named", holder=BERT)
    fleet.change(assign_holder, which_cluster="named", fingerprint=row.fingerprint.upper(), holder=ANNA)
    assert (fleet.state(BERT, "named"), fleet.state(ANNA, "named")) == ("Unissued", "Unexpired")
    proven = make_client_certificate(ca, f"{ANNA}-1", ["system:users"], NOW - 1000, NOW + 100_000)
    row = fleet.take_one(proven.certificate, "named")
    with pytest.raises(OperatorError, match="proves that it is"):
        fleet.change(assign_holder, which_cluster="named", fingerprint=row.fingerprint, holder=BERT)


def test_the_clusters_own_ca_is_nobodys_credential(fleet: Fleet) -> None:
    ca = make_ca("own CA", NOW - 1000, 3650)
    fleet.add_cluster("own")
    fleet.trust("own", ca.certificate)
    row = fleet.take_one(ca.certificate, "own", holder=ANNA)
    assert row.outcome is Outcome.REFUSED
    assert "no client's certificate" in row.remarks[0]
    assert fleet.state(ANNA, "own") == "Unissued"


def test_each_client_certificate_of_a_file_is_a_candidate_of_its_own() -> None:
    ca = make_ca("many CA", NOW - 1000, 3650)
    pairs = [make_client_certificate(ca, f"{ANNA}-{number}", [], NOW, NOW + 1000) for number in range(3)]
    text = ca.certificate + b"".join(pair.certificate for pair in pairs) + pairs[1].private_key
    found = read_candidates(text, "all.pem")
    assert [one.leaf.common_name for one in found] == [f"{ANNA}-{number}" for number in range(3)]
    assert [one.private_key is not None for one in found] == [False, True, False]
    assert all(len(one.intermediates) == 1 and not one.remarks for one in found)
