"""Names at their limits, on a real API server."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.control_plane import ControlPlane
from control_plane.keeping import RBAC, Keeper, keeping, name_of
from control_plane.waiting import eventually
from kubecustody.client import ApiError

pytestmark = pytest.mark.control_plane

ROLES = f"{RBAC}/clusterroles"


@pytest.fixture
def keeper(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Keeper]:
    with keeping(tmp_path, control_plane) as keeper:
        keeper.register()
        keeper.manage()
        yield keeper


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A namespace whose name is as long as one may be."""
    name = secrets.token_hex(31) + "x"
    assert control_plane.ask("POST", "/api/v1/namespaces", body={"metadata": {"name": name}}).status == 201
    try:
        yield name
    finally:
        control_plane.ask("DELETE", f"/api/v1/namespaces/{name}")


def test_names_at_their_limits_are_bound_and_proved(keeper: Keeper, namespace: str) -> None:
    role = f"r{'y' * 251}r"
    rules = [{"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}]
    assert keeper.plane.ask("POST", ROLES, body={"metadata": {"name": role}, "rules": rules}).status == 201
    try:
        anna = keeper.add_person("anna")
        credential = keeper.get(anna)
        keeper.grant(anna, role, namespace=namespace, custom=True)
        pods = f"/api/v1/namespaces/{namespace}/pods"
        eventually(lambda: keeper.plane.ask("GET", pods, credential).status == 200)
        ((name, who),) = keeper.subjects().items()
        assert (len(name) <= 253, who) == (True, [name_of(credential)])
        with pytest.raises(ApiError) as error:
            keeper.grant(anna, f"{role}y", namespace=namespace, custom=True)
        assert "253" in error.value.message
        keeper.clean(anna)
        eventually(lambda: keeper.removed_by(credential) == "proved")
        assert keeper.evidence(credential)["used", ""] == "refused"
        assert keeper.plane.ask("GET", pods, credential).status == 403
    finally:
        keeper.plane.ask("DELETE", f"{ROLES}/{role}")
