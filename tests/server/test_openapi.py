"""openapi.json: valid, and true of the server. Schemathesis calls every operation, signed, with what the document
allows and with what it does not, and compares the answers with it.

What OpenAPI cannot say, an empty Uid segment, has a test of its own here.
"""

import copy
import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
import schemathesis
from homes import Home, served_home
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.transport import Response
from wire import STATES, call

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.catalogue.shapes import Kind, Location, members_of
from kubecustody.custody.principals import NewAccessKey
from kubecustody.pages.serving import SITE
from kubecustody.signing.acs3 import sign_request

DOCUMENT: dict[str, Any] = json.loads((SITE / "openapi.json").read_text("utf-8"))
EXAMPLES = 50
UNLIMITED = {"key_rate_per_second": "0", "account_rate_per_second": "0", "cluster_networks": "127.0.0.0/8"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("openapi"), **UNLIMITED) as home:
        yield home


class Signing(requests.auth.AuthBase):
    """Signs a request as it is about to be sent, instead of what was made up for its signature."""

    def __init__(self, key: NewAccessKey, action: str) -> None:
        self.key, self.action = key, action

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        parts = urlsplit(request.url or "")
        body = request.body or b""
        signed = sign_request(
            method=request.method or "",
            path=parts.path,
            query=parse_qsl(parts.query, keep_blank_values=True),
            host=parts.netloc,
            version="2015-12-15",
            action=self.action,
            access_key_id=self.key.access_key_id,
            secret=self.key.secret.encode(),
            signed_at=int(time.time()),
            nonce=os.urandom(16).hex(),
            body=body.encode() if isinstance(body, str) else body,
        )
        request.headers.update(dict(signed.headers))
        request.url = f"{parts.scheme}://{parts.netloc}{signed.target}"
        return request


def test_document_is_openapi_and_has_every_operation() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()
    found = {
        one["operationId"]: (method.upper(), path)
        for path, of in DOCUMENT["paths"].items()
        for method, one in of.items()
    }
    assert found == {one.name: (one.method, one.path) for one in OPERATIONS}


def test_document_is_served(home: Home) -> None:
    answer = requests.get(f"{home.server.url}/openapi.json", timeout=10)
    assert answer.json() == DOCUMENT and answer.headers["content-type"].startswith("application/json")


def without_signing(document: dict[str, Any]) -> dict[str, Any]:
    """The document without what every call is given anyway: it is signed, whatever is made up for its parameters."""
    document = copy.deepcopy(document)
    del document["security"]
    for methods in document["paths"].values():
        for one in methods.values():
            one["parameters"] = [parameter for parameter in one["parameters"] if parameter["in"] != "header"]
    return document


SCHEMA = schemathesis.openapi.from_dict(without_signing(DOCUMENT))
SCHEMA.config.checks.negative_data_rejection.expected_statuses.append("413")  # what is too large is refused as such
# Nothing can be wrong with what these take: nothing, or any text in the path.
TAKES_ANYTHING = {
    one.name
    for one in OPERATIONS
    if all(
        member.about.location is Location.PATH and member.kind is Kind.STRING and member.form is None
        for member in members_of(one.input)
    )
}
# Parameters of which more must be true than a schema can say, by operation, and what. With other parameters whatever
# the document allows is accepted.
_SINCE = "a past time of which the account's history tells"
MEANS_MORE = {
    "ListUserKubeConfigStates": {"at": _SINCE},
    "ListClusterKubeconfigStates": {"at": _SINCE},
    "ListCredentials": {"At": _SINCE, "NextToken": "the place that an answer with the same filters had"},
    "DescribeCredential": {"At": f"{_SINCE}, and a fingerprint with it"},
    "ListEvents": {"EndTime": "not before StartTime"},
    "ListOwnEvents": {"EndTime": "not before StartTime"},
    "IssueCredential": {"Csr": "signed by the key in it"},
    "RegisterCluster": {
        "Name": "letters and digits of any script, which JSON Schema cannot name in a way that Python reads too",
        "Kubeconfig": "YAML with one access in it, to a cluster that answers",
        "PublicEndpoint": "a host that may be called",
        "PrivateEndpoint": "a host that may be called",
    },
    "ApplyClusters": {"Clusters": "of each what RegisterCluster wants, and a name of its own"},
}
ACCEPTANCE = CHECKS.get_one("positive_data_acceptance")


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_schemathesis_finds_nothing(home: Home, operation: Operation, mode: GenerationMode) -> None:
    if operation.name in TAKES_ANYTHING and mode is GenerationMode.NEGATIVE:
        return
    described = SCHEMA[operation.path][operation.method]
    signing = Signing(home.people["account"], operation.name)
    session = requests.Session()

    @given(case=described.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Case) -> None:
        answer = case.call_and_validate(
            home.server.url, session, auth=signing, excluded_checks=[ACCEPTANCE], timeout=20
        )
        if mode is GenerationMode.POSITIVE:
            check_accepted(operation, answer)

    with session:
        check()


def check_accepted(operation: Operation, answer: Response) -> None:
    """What the document allows is not refused, but for what it cannot say."""
    if answer.status_code in (200, 403, 404, 409):
        return
    told = answer.json()
    more = MEANS_MORE.get(operation.name, {})
    if told["Code"] in {error.code for error in operation.errors}:
        assert more, told
        return
    assert told["Code"] == "InvalidParameter", told
    # That two parameters do not go together OpenAPI cannot say; the catalogue does.
    named = {
        member.wire_name
        for member in members_of(operation.input)
        if re.search(rf"(^|[.] ){member.wire_name}: (?!does not go with)", told["Message"])
    }
    assert named <= more.keys(), told


def test_empty_uid_segment_stands_for_the_caller(home: Home) -> None:
    key = home.people["account"]
    assert STATES == "/users//kubeconfig/states"
    mine, named = call(home.server, key), call(home.server, key, f"/users/{key.uid}/kubeconfig/states")
    assert mine.status == 200 and mine.json == named.json
