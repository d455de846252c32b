"""The catalogue itself: complete, sane, and what the provider's SDK says wherever an operation is the provider's."""

import asyncio
import dataclasses
import json
import re
import string
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

import msgspec
import pytest

from kubecustody.catalogue.errors import (
    ERRORS,
    INTERNAL_ERROR,
    ErrorDefinition,
    all_request_errors,
    describe_error,
    get_error_definition,
)
from kubecustody.catalogue.model import API_VERSION, Effect, Operation
from kubecustody.catalogue.operations import OPERATIONS, get_operation
from kubecustody.catalogue.policies import FULL_ACCESS, READ_ONLY_ACCESS, builtin_policies
from kubecustody.catalogue.shapes import UNSET, Kind, Location, Member, MemberInfo, Shape, find_whole, members_of
from kubecustody.core.errors import Fault, RequestError
from kubecustody.core.policy import evaluate
from kubecustody.core.states import CanGetIn, CertState, ClusterState
from kubecustody.custody.handlers import (
    ACT_HANDLERS,
    CHANGE_HANDLERS,
    READ_HANDLERS,
    find_act_handler,
    find_read_handler,
    get_change_handler,
)

PATH_PARAMETER = re.compile(r"\{(\w+)\}")
# Parameters of the SDK that are lists, and what is put into them.
LISTS: dict[str, Any] = {"cluster_ids": ["c1", "c2"], "roles": []}
ENUMS = {"cert_state": CertState, "cluster_state": ClusterState, "can_get_in": CanGetIn}
ALL_ERRORS = list(all_request_errors())

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
each_of_the_providers = pytest.mark.parametrize(
    "operation",
    [one for one in OPERATIONS if not one.ours and not one.undocumented],
    ids=lambda operation: operation.name,
)
each_error = pytest.mark.parametrize("error", ALL_ERRORS, ids=lambda error: error.__name__)
each_definition = pytest.mark.parametrize("definition", ERRORS, ids=lambda definition: definition.code)


def shapes_below(shape: type[Shape]) -> Iterator[type[Shape]]:
    """The shape and every one inside it."""
    yield shape
    for member in members_of(shape):
        if member.shape is not None:
            yield from shapes_below(member.shape)


def members_below(operation: Operation) -> list[tuple[str, MemberInfo]]:
    """Every member of input and output with the name of its place."""
    return [
        (f"{shape.__name__}.{member.name}", member)
        for top in (operation.input, operation.output)
        if top is not None
        for shape in shapes_below(top)
        for member in members_of(shape)
    ]


# --- operations


def test_names_and_routes_are_unique() -> None:
    names = [operation.name.lower() for operation in OPERATIONS]
    routes = [(operation.method, PATH_PARAMETER.sub("{}", operation.path)) for operation in OPERATIONS]
    assert len(set(names)) == len(names) and len(set(routes)) == len(routes)


@each_operation
def test_operation_is_found_by_its_name_in_any_case(operation: Operation) -> None:
    assert get_operation(operation.name.upper()) is operation


@each_operation
def test_operation_says_what_it_is(operation: Operation) -> None:
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", operation.name)
    assert operation.method in ("GET", "POST", "PUT", "DELETE") and operation.path.startswith("/")
    assert operation.summary.endswith(".") and operation.description.endswith(".")


def test_every_operation_has_a_handler_and_every_handler_an_operation() -> None:
    names = [*READ_HANDLERS, *CHANGE_HANDLERS, *ACT_HANDLERS]
    assert sorted(names) == sorted(operation.name for operation in OPERATIONS)
    assert all(callable(find_act_handler(name)) for name in ACT_HANDLERS)
    assert all(callable(get_change_handler(name)) for name in CHANGE_HANDLERS)
    assert all(callable(find_read_handler(name)) for name in READ_HANDLERS)


@each_operation
def test_effects_are_told_and_a_handler_that_cannot_write_only_reads(operation: Operation) -> None:
    assert operation.effects
    assert (operation.name in READ_HANDLERS) == (operation.effects == {Effect.READS})


@each_operation
def test_path_parameters_are_those_of_the_input(operation: Operation) -> None:
    in_path = {member.wire_name for member in members_of(operation.input) if member.about.location is Location.PATH}
    assert set(PATH_PARAMETER.findall(operation.path)) == in_path


@each_operation
def test_actions_and_resource_are_of_the_service_whose_operation_it_is(operation: Operation) -> None:
    service = "kubecustody" if operation.ours else "cs"
    assert operation.action_names and all(name.startswith(f"{service}:") for name in operation.action_names)
    filled = operation.resource.format(region_id="local", account_id="1", ClusterId="c1")
    assert re.fullmatch(rf"acs:{service}:local:1:\S+", filled)


# --- members


@each_operation
def test_every_shape_and_member_is_described(operation: Operation) -> None:
    for place, member in members_below(operation):
        assert len(member.about.doc) > 10 and member.about.doc.endswith("."), place
    for top in filter(None, (operation.input, operation.output)):
        assert all((shape.__doc__ or "").endswith(".") for shape in shapes_below(top))


@each_operation
def test_forms_and_exclusions_are_where_every_reader_of_the_catalogue_knows_them(operation: Operation) -> None:
    in_query = {one.wire_name for one in members_of(operation.input) if one.about.location is Location.QUERY}
    for place, member in members_below(operation):
        about = member.about
        assert member.kind is Kind.STRING or about.form is None, place
        assert about.form is None or about.values is None, place
        assert about.fewest is None or (member.kind is Kind.ARRAY and about.location is Location.BODY), place
        assert not about.excludes or {member.wire_name, *about.excludes} <= in_query, place


@each_operation
def test_bounds_are_sane_and_hold_default_and_example(operation: Operation) -> None:
    for member in members_of(operation.input):
        low, high = member.about.minimum, member.about.maximum
        if member.kind is not Kind.INTEGER:
            assert (low, high) == (None, None)
            continue
        assert low is not None and high is not None and low <= high
        assert member.default is None or low <= member.default <= high
        assert low <= int(member.about.example) <= high


@each_operation
def test_every_value_of_an_enum_is_explained(operation: Operation) -> None:
    for place, member in members_below(operation):
        if member.name in ENUMS and member.about.values is not None:
            # By cluster the provider lists fewer states.
            assert set(member.about.values) <= set(ENUMS[member.name]), place
        assert all(text.endswith(".") for text in (member.about.values or {}).values()), place
        if member.about.values and member.about.example:
            assert member.about.example in member.about.values, place


@each_of_the_providers
def test_what_the_provider_does_not_have_is_left_out_unless_asked_for(operation: Operation) -> None:
    assert not any(member.required for member in members_of(operation.input) if member.about.ours)
    for shape in shapes_below(operation.output) if operation.output else ():
        ours = {member.name for member in members_of(shape) if member.about.ours}
        if len(ours) < len(members_of(shape)):
            unset = {field.name for field in msgspec.structs.fields(shape) if field.default is UNSET}
            assert ours <= unset, shape.__name__


def test_a_member_that_is_the_whole_body_is_alone_in_it() -> None:
    class Doubled(Shape):
        """Two in one body."""

        first: Annotated[list[str], Member("All of it.", whole=True)]
        second: Annotated[str, Member("More than all.")]

    with pytest.raises(TypeError, match=r"Doubled\.first is the whole body"):
        find_whole(Doubled)


# --- errors


def sample_of(error: type[RequestError]) -> RequestError:
    """An error of this class, each field filled with something of its type."""
    samples: dict[Any, Any] = {str: "text", int: 7, float: 1.5, bool: True, tuple[str, ...]: ("GET", "POST")}
    samples[tuple[Fault, ...]] = (Fault("page_size", "is 0; it must be an integer from 1 to 100."),)
    hints = get_type_hints(error)
    return error(**{field.name: samples[_plain(hints[field.name])] for field in dataclasses.fields(error)})


def _plain(hint: Any) -> Any:
    """The type without its None."""
    options = [option for option in get_args(hint) if option is not type(None)]
    return options[0] if type(None) in get_args(hint) else hint


@each_error
def test_message_of_every_error_is_filled(error: type[RequestError]) -> None:
    told = describe_error(sample_of(error))
    assert (told.code, told.status) == (error.code, get_error_definition(error.code).status)
    assert len(told.message) > 10 and not re.search(r"[{}]|\bNone\b", told.message), told.message


def test_every_definition_belongs_to_one_error_and_every_error_has_one() -> None:
    codes = sorted(definition.code for definition in ERRORS if definition is not INTERNAL_ERROR)
    assert codes == sorted(error.code for error in ALL_ERRORS)
    assert len(set(codes)) == len(codes)


@each_definition
def test_error_says_what_it_means_and_what_to_do(definition: ErrorDefinition) -> None:
    assert 400 <= definition.status < 600
    assert definition.meaning.endswith(".") and definition.cure.endswith(".")
    assert re.fullmatch(r"[A-Z][A-Za-z0-9]*(\.[A-Z][A-Za-z0-9]*)*", definition.code)


@each_definition
def test_message_template_reaches_into_no_object(definition: ErrorDefinition) -> None:
    """A field with a dot or a bracket would tell what was not meant to be told."""
    names = [name for _, name, _, _ in string.Formatter().parse(definition.message) if name is not None]
    assert all(re.fullmatch(r"\w+", name) for name in names)


@each_operation
def test_errors_that_an_operation_raises_are_defined(operation: Operation) -> None:
    assert all(get_error_definition(error.code) for error in operation.errors)


# --- built-in policies


def is_allowed(policy: str, actions: frozenset[str]) -> bool:
    decision = evaluate([builtin_policies()[policy.lower()]], actions=actions, resource="acs:cs:local:1:*")
    return decision.allowed


@each_operation
def test_read_only_policy_allows_exactly_what_only_reads(operation: Operation) -> None:
    assert is_allowed(READ_ONLY_ACCESS, operation.folded_actions) is (operation.effects == {Effect.READS})


@pytest.mark.parametrize("action", ["cs:describeclusteruserkubeconfig", "cs:revokek8sclusterkubeconfig", "cs:x"])
def test_read_only_policy_allows_nothing_beyond_the_catalogue(action: str) -> None:
    assert not is_allowed(READ_ONLY_ACCESS, frozenset({action}))


@each_operation
def test_full_access_is_to_the_providers_operations_alone(operation: Operation) -> None:
    assert is_allowed(FULL_ACCESS, operation.folded_actions) is (not operation.ours)
    assert not is_allowed(FULL_ACCESS, frozenset({"kubecustody:attestremoval"}))


# --- the provider's SDK as the oracle


class Recorder(BaseHTTPRequestHandler):
    """Records what comes, and answers with an empty object."""

    seen: ClassVar[list[tuple[str, str, dict[str, str]]]] = []
    body: ClassVar[bytes] = b""

    def answer(self) -> None:
        type(self).body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.seen.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", "2")
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def recorder() -> Iterator[str]:
    """The address of a server that records what clients send."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def method_name(operation: str) -> str:
    """The SDK's way: ListUserKubeConfigStates becomes list_user_kube_config_states."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", operation).lower()


def ask_sync(client: Any, operation: str, arguments: list[Any]) -> None:
    getattr(client, method_name(operation))(*arguments)


def ask_async(client: Any, operation: str, arguments: list[Any]) -> None:
    asyncio.run(getattr(client, f"{method_name(operation)}_async")(*arguments))


@pytest.mark.sdk
@pytest.mark.parametrize("ask", [ask_sync, ask_async])
@each_of_the_providers
def test_what_the_sdk_sends_is_what_the_catalogue_says(
    operation: Operation, recorder: str, ask: Callable[[Any, str, list[Any]], None]
) -> None:
    from alibabacloud_cs20151215 import models
    from alibabacloud_cs20151215.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    config = Config(access_key_id="id", access_key_secret="key", endpoint=recorder, protocol="http", region_id="r")
    in_path = PATH_PARAMETER.findall(operation.path)
    arguments: list[Any] = [f"value-of-{name}" for name in in_path]
    if request := getattr(models, f"{operation.name}Request", None):
        filled = request()
        for name in vars(filled):
            setattr(filled, name, LISTS.get(name, 1))
        if find_whole(operation.input):
            (item,) = filled.body = [getattr(models, f"{operation.name}RequestBody")()]
            vars(item).update(dict.fromkeys(vars(item), 1))
        arguments.append(filled)
    Recorder.seen.clear()
    ask(Client(config), operation.name, arguments)
    ((method, target, headers),) = Recorder.seen
    path, _, query = target.partition("?")
    assert (method, path) == (operation.method, PATH_PARAMETER.sub(r"value-of-\1", operation.path))
    assert (headers["x-acs-action"], headers["x-acs-version"]) == (operation.name, API_VERSION)
    in_query = {
        member.wire_name
        for member in members_of(operation.input)
        if member.about.location is Location.QUERY and not member.about.ours
    }
    assert {pair.partition("=")[0] for pair in query.split("&") if pair} == in_query
    sent, shape = json.loads(Recorder.body or b"{}"), operation.input
    if whole := find_whole(operation.input):
        assert whole.shape is not None and isinstance(sent, list)
        (sent,), shape = sent, whole.shape
    assert set(sent) == {one.wire_name for one in members_of(shape) if one.about.location is Location.BODY}


@pytest.mark.sdk
@each_of_the_providers
def test_answer_has_the_members_that_the_sdk_reads(operation: Operation) -> None:
    from alibabacloud_cs20151215 import models

    if operation.output is None or all(member.about.ours for member in members_of(operation.output)):
        return
    if whole := find_whole(operation.output):
        theirs = get_type_hints(getattr(models, f"{operation.name}Response").__init__)["body"]
        ours = get_type_hints(operation.output)[whole.name]
        assert (get_origin(ours), get_args(ours)) == (get_origin(theirs), get_args(theirs))
    else:
        compare(operation.output, f"{operation.name}ResponseBody", set(operation.absent))


def compare(shape: type[Shape], model_name: str, absent: set[str]) -> None:
    """The members of a shape, and those that are said to be absent, are those of the SDK's model, on every level."""
    from alibabacloud_cs20151215 import models

    theirs = [member for member in members_of(shape) if not member.about.ours]
    model = getattr(models, model_name)()
    nothing: dict[Kind, Any] = {
        Kind.ARRAY: [{}],
        Kind.OBJECT: {"id": "value", "code": "value", "page_number": 1},
        Kind.MAP: {"key": "value"},
    }
    everything = {member.wire_name: nothing.get(member.kind, "value") for member in theirs}
    known = {name for name, value in model.from_map(everything).to_map().items() if value not in ([], {})}
    # What the model reads from an answer and writes out again is what it knows; its fields are all that it knows.
    assert known == set(everything), model_name
    missing = {name for name in absent if "." not in name}
    assert not missing & set(everything) and missing <= set(vars(model)), model_name
    assert len(vars(model)) == len(everything) + len(missing), model_name
    for member in theirs:
        if member.shape is not None:
            prefix = member.wire_name + "."
            below = {name.removeprefix(prefix) for name in absent if name.startswith(prefix)}
            compare(member.shape, model_name + member.wire_name.title().replace("_", ""), below)
