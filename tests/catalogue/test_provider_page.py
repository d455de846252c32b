"""ListUserKubeConfigStates against the provider's page, fact by fact.

Every literal here is copied from the provider's page "ListUserKubeConfigStates" (Container Service for
Kubernetes, Document Center, last updated Feb 28, 2025), read 2026-11-24.
"""

import html
import re
from datetime import datetime
from typing import Any

import pytest

from kubecustody.catalogue.model import AccessLevel
from kubecustody.catalogue.operations import get_operation
from kubecustody.catalogue.shapes import Kind, Location, MemberInfo, Shape, members_of
from kubecustody.catalogue.states import (
    ListUserKubeConfigStatesInput,
    ListUserKubeConfigStatesOutput,
    Page,
    UserKubeConfigState,
)
from kubecustody.core.names import NameRefused, check_cluster_name
from kubecustody.pages.serving import SITE

OPERATION = get_operation("ListUserKubeConfigStates")

CERT_STATES = {
    "Expired": "The certificate is expired.",
    "Unexpired": "The certificate is not expired.",
    "Unissued": "The certificate is not issued.",
    "Unknown": "The status of the certificate is unknown.",
    "Removed": "The certificate is removed. An issue record is found for the certificate.",
}
CLUSTER_STATES = {
    "initial": "The cluster is being created.",
    "failed": "The cluster failed to be created.",
    "running": "The cluster is running.",
    "updating": "The cluster is being upgraded.",
    "updating_failed": "The cluster failed to be updated.",
    "scaling": "The cluster is being scaled.",
    "stopped": "The cluster is stopped.",
    "deleting": "The cluster is being deleted.",
    "deleted": "The cluster is deleted.",
    "delete_failed": "The cluster failed to be deleted.",
}
SAMPLE_STATE = {
    "cluster_id": "c5b5e80b0b64a4bf6939d2d8fbbc5****\n",
    "cert_expire_time": "2026-11-30T07:41:50Z",
    "cert_state": "Unissued",
    "cluster_state": "running",
    "cluster_name": "cluster-demo",
}
SAMPLE_PAGE = {"page_number": 1, "page_size": 10, "total_count": 100}


def theirs(shape: type[Shape]) -> dict[str, MemberInfo]:
    return {member.wire_name: member for member in members_of(shape) if not member.about.ours}


def test_request_syntax() -> None:
    """GET /users/{Uid}/kubeconfig/states HTTP/1.1"""
    assert (OPERATION.method, OPERATION.path) == ("GET", "/users/{Uid}/kubeconfig/states")


def test_authorization_information() -> None:
    """cs:ListUserKubeConfigStates, access level none, resource type *All Resources."""
    assert OPERATION.action_names[0] == "cs:ListUserKubeConfigStates"
    assert OPERATION.access_level is AccessLevel.NONE
    assert OPERATION.resource.endswith(":*")


def test_request_parameters_and_their_types() -> None:
    """All three have Required: No."""
    facts = {
        name: (member.kind, member.about.location, member.required)
        for name, member in theirs(ListUserKubeConfigStatesInput).items()
    }
    assert facts == {
        "Uid": (Kind.STRING, Location.PATH, False),
        "page_number": (Kind.INTEGER, Location.QUERY, False),
        "page_size": (Kind.INTEGER, Location.QUERY, False),
    }


def test_uid_is_of_a_ram_user_or_role_and_may_be_left_out() -> None:
    about = theirs(ListUserKubeConfigStatesInput)["Uid"].about
    assert about.may_be_empty and "RAM user or RAM role" in about.doc


def test_page_number_is_at_least_1_and_1_by_default() -> None:
    member = theirs(ListUserKubeConfigStatesInput)["page_number"]
    assert (member.about.minimum, member.default) == (1, 1)


def test_page_size_is_1_to_100_and_50_by_default() -> None:
    member = theirs(ListUserKubeConfigStatesInput)["page_size"]
    assert (member.about.minimum, member.about.maximum, member.default) == (1, 100, 50)


STATE_MEMBERS = ("cluster_id", "cert_expire_time", "cert_state", "cluster_state", "cluster_name")


@pytest.mark.parametrize(
    ("shape", "members"),
    [
        (ListUserKubeConfigStatesOutput, {"states": Kind.ARRAY, "page": Kind.OBJECT}),
        (UserKubeConfigState, dict.fromkeys(STATE_MEMBERS, Kind.STRING)),
        (Page, dict.fromkeys(("page_number", "page_size", "total_count"), Kind.INTEGER)),
    ],
    ids=["response body", "state", "page"],
)
def test_response_members_their_order_and_their_types(shape: type[Shape], members: dict[str, Kind]) -> None:
    assert [(name, member.kind) for name, member in theirs(shape).items()] == list(members.items())


def test_values_of_cert_state() -> None:
    values = theirs(UserKubeConfigState)["cert_state"].about.values or {}
    assert set(values) == set(CERT_STATES)
    for name in ("Expired", "Unexpired", "Unissued"):
        assert values[name] == CERT_STATES[name]


def test_values_of_cluster_state() -> None:
    assert theirs(UserKubeConfigState)["cluster_state"].about.values == CLUSTER_STATES


def test_cert_expire_time_is_rfc_3339_in_utc() -> None:
    about = theirs(UserKubeConfigState)["cert_expire_time"].about
    assert about.example == SAMPLE_STATE["cert_expire_time"]
    assert datetime.fromisoformat(about.example).utcoffset() is not None
    assert "UTC" in about.doc and "RFC 3339" in about.doc


@pytest.mark.parametrize("name", ["cluster-demo", "1st", "a", "x" * 63, "under_score", "生产"])
def test_cluster_name_that_the_page_allows(name: str) -> None:
    """1 to 63 characters: digits, underscores, hyphens; it starts with a letter or number."""
    assert check_cluster_name(name) == name


@pytest.mark.parametrize("name", ["", "x" * 64, "-a", "_a", "a b", "a.b", "a/b", "a\n", "\x1b[31m"])
def test_cluster_name_that_the_page_does_not_allow(name: str) -> None:
    with pytest.raises(NameRefused):
        check_cluster_name(name)


@pytest.mark.parametrize(
    ("shape", "sample"), [(UserKubeConfigState, SAMPLE_STATE), (Page, SAMPLE_PAGE)], ids=["state", "page"]
)
def test_sample_success_response_is_of_our_shape(shape: type[Shape], sample: dict[str, Any]) -> None:
    """The asterisks and the line break in the sample's cluster id are its own."""
    kinds = [(name, Kind.INTEGER if isinstance(value, int) else Kind.STRING) for name, value in sample.items()]
    assert kinds == [(name, member.kind) for name, member in theirs(shape).items()]


# --- our reference page, as a reader sees it

SECTIONS = [
    "Operation description",
    "Debugging",
    "Authorization information",
    "Request syntax",
    "Request parameters",
    "Response parameters",
    "Examples",
    "Error codes",
    "Change history",
]
# Name, type and, of the request, whether it is required.
REQUEST_ROWS = [("Uid", "string", "No"), ("page_number", "integer", "No"), ("page_size", "integer", "No")]
RESPONSE_ROWS = [
    ("states", "array<object>"),
    *((name, "string") for name in STATE_MEMBERS),
    ("page", "object"),
    *((name, "integer") for name in SAMPLE_PAGE),
]


CELL, ROW = "\x1f", "\x1e"


def sections_of_our_page() -> dict[str, str]:
    """The text of each section of the page that is served, by its heading, with an end of each cell and row."""
    page = (SITE / "docs" / "api" / "ListUserKubeConfigStates.html").read_text("utf-8").partition("<main")[2]
    parts = re.split(r"<h2[^>]*>", page.partition("</main>")[0])[1:]
    titles = [html.unescape(part.partition("<a")[0]).strip() for part in parts]
    texts = [re.sub(r"<[^>]+>", "", part.replace("</td>", CELL).replace("</tr>", ROW)) for part in parts]
    return dict(zip(titles, [html.unescape(text) for text in texts], strict=True))


def rows_of(section: str) -> list[tuple[str, ...]]:
    rows = [[" ".join(cell.split()) for cell in row.split(CELL)] for row in section.split(ROW)]
    return [tuple(row) for row in rows if len(row) > 3 and not row[0].endswith("ours")]


def test_our_page_has_the_sections_in_their_order() -> None:
    assert list(sections_of_our_page()) == SECTIONS


def test_our_page_says_what_authorises_and_how_it_is_asked() -> None:
    sections = sections_of_our_page()
    for fact in ("cs:ListUserKubeConfigStates", "none", "*All Resources"):
        assert fact in sections["Authorization information"]
    assert "GET /users/{Uid}/kubeconfig/states HTTP/1.1" in sections["Request syntax"]


def test_our_page_has_every_parameter_with_its_bounds() -> None:
    rows = rows_of(sections_of_our_page()["Request parameters"])
    assert [(row[0], row[1], row[3]) for row in rows] == REQUEST_ROWS
    described = {row[0]: row[4] for row in rows}
    assert "1 to 100" in described["page_size"] and "50" in described["page_size"]
    assert "1" in described["page_number"]


def test_our_page_has_every_member_of_the_answer_and_every_value() -> None:
    section = sections_of_our_page()["Response parameters"]
    assert [row[:2] for row in rows_of(section)] == RESPONSE_ROWS
    for value in (*CERT_STATES, *(f"{state}: {text}" for state, text in CLUSTER_STATES.items())):
        assert value in section


def test_our_page_shows_an_answer_of_the_sample_s_shape() -> None:
    section = sections_of_our_page()["Examples"]
    for name in ("states", "page", *SAMPLE_STATE, *SAMPLE_PAGE):
        assert f'"{name}":' in section
