"""openapi.json: valid, and true of the server. Schemathesis calls every operation, signed, with what the document
allows and with what it does not, and compares the answers with it.

What OpenAPI cannot say, an empty Uid segment, has a test of its own here.
"""

import copy
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs
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
from kubecustody.catalogue.operations import OPERATIONS, get_operation
from kubecustody.catalogue.shapes import Kind, Location, members_of
from kubecustody.core.errors import ParametersRefused
from kubecustody.core.permissions import AskedPermission, read_permissions
from kubecustody.custody.principals import NewAccessKey
from kubecustody.pages.serving import SITE
from kubecustody.server.decoding import decode_input
from kubecustody.signing.acs3 import sign_request

DOCUMENT: dict[str, Any] = json.loads((SITE / "openapi.json").read_text("utf-8"))
EXAMPLES = 50
UNLIMITED = {"key_rate_per_second": "0", "account_rate_per_second": "0", "cluster_networks": "127.0.0.0/8"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with served_home(tmp_path_factory.mktemp("openapi"), **UNLIMITED) as home:
        home.add("person")
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
_NAME = "letters and digits of any script, which no pattern names in a way that every language reads"
_HOST = "a host that may be called"
MEANS_MORE = {
    "ListUserKubeConfigStates": {"at": _SINCE},
    "ListClusterKubeconfigStates": {"at": _SINCE},
    "ListCredentials": {"At": _SINCE, "NextToken": "the place that an answer with the same filters had"},
    "DescribeCredential": {"At": f"{_SINCE}, and a fingerprint with it"},
    "ListEvents": {"EndTime": "not before StartTime"},
    "ListOwnEvents": {"EndTime": "not before StartTime"},
    "RegisterCluster": {
        "Name": _NAME,
        "Kubeconfig": "YAML with one access in it",
        "PublicEndpoint": _HOST,
        "PrivateEndpoint": _HOST,
    },
    "ApplyClusters": {"Clusters[].Name": _NAME},
    "RestoreRemoval": {"TaskId": "given, unless RemovedFrom is", "RemovedTo": "with RemovedFrom alone"},
}
# What two parameters, or two permissions of one list, are to each other OpenAPI cannot say; the catalogue does.
_FAULT = re.compile(r"(?:^|[.] )((?:\w+)?(?:\[\d+\])?(?:[.]\w+)?): (?!does not go with|is the same as)")
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
        if mode is GenerationMode.POSITIVE and "{uid}" in operation.path:  # else no permission would be looked at
            case.path_parameters["uid"] = home.people["person"].uid
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
    if told["Code"] in {error.code for error in operation.errors}:
        return  # the store, a cluster or a certificate request is not as it must be, and the document has the code
    assert told["Code"] == "InvalidParameter", told
    faults = {re.sub(r"\d+", "", name) for name in _FAULT.findall(told["Message"])}
    assert faults <= MEANS_MORE.get(operation.name, {}).keys(), told


PERMISSIONS = {
    "role_type": (None, "", "cluster", "namespace", "all-clusters", "everything"),
    "cluster": (None, "", "c1"),
    "namespace": (None, "", "a", "A"),
    "role_name": (None, "", "admin", "admin-view", "ops", "dev", "view", "system:view", "view-"),
    "is_custom": (None, False, True),
}


@pytest.mark.parametrize(
    ("name", "schema"), [("GrantPermissions", "GrantedPermission"), ("UpdateUserPermissions", "ChangedPermission")]
)
def test_a_permission_is_taken_exactly_where_the_document_allows_it(name: str, schema: str) -> None:
    """Every combination of values that matter."""
    described = {"$ref": f"#/components/schemas/{schema}", "components": DOCUMENT["components"]}
    validator = jsonschema_rs.validator_for(described)
    allowed = 0
    for values in itertools.product(*PERMISSIONS.values()):
        item = {member: value for member, value in zip(PERMISSIONS, values, strict=True) if value is not None}
        assert validator.is_valid(item) is is_taken(name, item), item
        allowed += validator.is_valid(item)
    assert allowed > 20


def is_taken(name: str, item: dict[str, Any]) -> bool:
    try:
        read = decode_input(get_operation(name), {"uid": b"2"}, b"", json.dumps([item]).encode())
        for one in read.body:  # type: ignore[attr-defined]
            asked = AskedPermission(one.cluster, one.role_type, one.role_name, one.namespace, one.is_custom)
            read_permissions([asked])
    except ParametersRefused:
        return False
    return True


def test_empty_uid_segment_stands_for_the_caller(home: Home) -> None:
    key = home.people["account"]
    assert STATES == "/users//kubeconfig/states"
    mine, named = call(home.server, key), call(home.server, key, f"/users/{key.uid}/kubeconfig/states")
    assert mine.status == 200 and mine.json == named.json
