"""What a fleet file may say, and that every fault of it is told with its place."""

from pathlib import Path

import pytest

from kubecustody.cli.fleet_files import read_fleet
from kubecustody.core.errors import OperatorError

BAD = """\
clusters:
- name: a
  kubeconfig: there
  regoin: eu
- kubeconfig: there
- name: b
  kubeconfig: gone
  api_servers: many
- name: b
  kubeconfig: gone
- name: c
  name: c
  kubeconfig: there
- name: d
  kubeconfig: there
  mode: destroy
- nothing
"""


def test_every_fault_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("apiVersion: v1")
    file = tmp_path / "fleet.yaml"
    file.write_text(BAD)
    with pytest.raises(OperatorError) as refused:
        read_fleet(file)
    told = str(refused.value)
    for one in (
        "line 4: 'regoin' is none of name, kubeconfig",
        "line 5: the cluster has no name",
        "line 6: api_servers must be a number from 1 to 100",
        "line 9: its kubeconfig cannot be read",
        "line 12: name stands twice",
        "line 14: mode must be observe or manage",
        "line 17: a cluster must be a mapping",
    ):
        assert one in told, told


@pytest.mark.parametrize("text", ["", "clusters: []", "- name: a", "clusters: {a: b}", "clusters:\n- &x a\n- *x", "{"])
def test_what_is_no_fleet_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(text)
    with pytest.raises(OperatorError):
        read_fleet(file)


def test_a_kubeconfig_is_read_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("text of it")
    file = tmp_path / "fleet.yaml"
    file.write_text("clusters:\n- {name: a, kubeconfig: there, api_servers: 3}\n")
    (one,) = read_fleet(file)
    assert (one.name, one.kubeconfig, one.api_servers, one.place) == ("a", "text of it", 3, "line 2")
