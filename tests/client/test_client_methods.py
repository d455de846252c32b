"""The methods of both clients are those of the catalogue."""

import inspect
import subprocess
import sys
import types
from typing import Any, get_type_hints

import msgspec
import pytest

import kubecustody.client.calling
from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.catalogue.shapes import find_whole
from kubecustody.client import Client
from kubecustody.client.asynchronous import AsyncClient
from kubecustody.client.generating import method_name

# As the provider's SDK for Python spells them, where it has them.
KNOWN_NAMES = {
    "ListUserKubeConfigStates": "list_user_kube_config_states",
    "UpdateK8sClusterUserConfigExpire": "update_k8s_cluster_user_config_expire",
    "RevokeK8sClusterKubeConfig": "revoke_k8s_cluster_kube_config",
    "DescribeClustersV1": "describe_clusters_v1",
    "DescribeSubaccountK8sClusterUserConfig": "describe_subaccount_k8s_cluster_user_config",
}
each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
each_client = pytest.mark.parametrize("client", [Client, AsyncClient])


def test_names_are_those_of_the_providers_sdk() -> None:
    named = {operation.name: method_name(operation) for operation in OPERATIONS}
    assert KNOWN_NAMES.items() <= named.items()
    assert len(set(named.values())) == len(OPERATIONS)


def answer_type(operation: Operation) -> Any:
    """What is answered: a shape, a list of it, the one member that is the whole body, or nothing."""
    wanted: Any = operation.output or types.NoneType
    if operation.output is not None and (whole := find_whole(operation.output)):
        wanted = get_type_hints(operation.output)[whole.name]
    return list[wanted] if operation.returns_list else wanted


@each_client
def test_every_operation_is_a_method_and_nothing_else_is(client: type) -> None:
    public = {name for name, _ in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}
    assert public == {method_name(operation) for operation in OPERATIONS} | {"call", "close"}


@each_client
@each_operation
def test_parameters_defaults_and_result_are_those_of_the_catalogue(client: Any, operation: Operation) -> None:
    method = getattr(client, method_name(operation))
    assert inspect.iscoroutinefunction(method) is (client is AsyncClient)
    assert method.__doc__ == operation.summary
    given = list(inspect.signature(method).parameters.values())[1:]
    fields = {field.name: field for field in msgspec.structs.fields(operation.input)}
    assert [one.name for one in given] == list(fields)
    for one in given:
        default = inspect.Parameter.empty if fields[one.name].required else fields[one.name].default
        assert one.default == default
        assert (one.kind is inspect.Parameter.KEYWORD_ONLY) is not fields[one.name].required

    hints = get_type_hints(method, vars(kubecustody.client.calling))
    result = hints.pop("return")
    assert result == answer_type(operation)
    assert hints == {name: hint for name, hint in get_type_hints(operation.input).items() if name in fields}


def test_generated_module_is_what_the_catalogue_says() -> None:
    command = [sys.executable, "-m", "kubecustody.client.generating", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- without aiohttp

HIDDEN = """
import importlib.abc, sys

class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("aiohttp", "yarl"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""


def run_without_aiohttp(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", HIDDEN + code], capture_output=True, text=True, timeout=60)


def test_blocking_client_needs_no_aiohttp() -> None:
    code = "from kubecustody.client import *; import kubecustody.cli.getting, kubecustody.cli.calling; print(Client)"
    done = run_without_aiohttp(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_asynchronous_client_says_what_it_lacks() -> None:
    done = run_without_aiohttp("import kubecustody.client.asynchronous")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: The asynchronous client needs aiohttp: pip install aiohttp. The blocking one needs nothing more."
    )
    assert "During handling" not in done.stderr
