"""What a fleet file may say, and that every fault of it is told with its place."""

from pathlib import Path

import pytest

from kubecustody.cli.fleet_files import read_fleet
from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.document import parse_kubeconfig

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: one, user: one}}
- {name: two, context: {cluster: two, user: two}}
clusters:
- {name: one, cluster: {server: https://one.example.com}}
- {name: two, cluster: {server: https://two.example.com}}
users:
- {name: one, user: {token: token-of-one}}
- {name: two, user: {token: token-of-two}}
"""
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
- name: e
  kubeconfig: there
  plan: abc
- nothing
"""


def test_every_fault_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "there").write_text(KUBECONFIG)
    file = tmp_path / "fleet.yaml"
    file.write_text(BAD)
    with pytest.raises(OperatorError) as refused:
        read_fleet(file)
    told = str(refused.value)
    for one in (
        "line 4: 'regoin' is none of name, kubeconfig",
        "line 5: the cluster has no name",
        "line 6: api_servers must be a number from 1 to 100",
        "line 9: its kubeconfig: ",
        "line 12: name stands twice",
        "line 14: mode must be observe or manage",
        "line 17: plan is for mode manage",
        "line 20: a cluster must be a mapping",
    ):
        assert one in told, told


@pytest.mark.parametrize("text", ["", "clusters: []", "- name: a", "clusters: {a: b}", "clusters:\n- &x a\n- *x", "{"])
def test_what_is_no_fleet_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text(text)
    with pytest.raises(OperatorError):
        read_fleet(file)


def test_a_kubeconfig_is_read_relative_to_the_file_and_cut_to_its_context(tmp_path: Path) -> None:
    (tmp_path / "there").write_text(KUBECONFIG)
    file = tmp_path / "fleet.yaml"
    file.write_text(
        "clusters:\n- {name: a, kubeconfig: there, api_servers: 3}\n- {name: b, kubeconfig: there, context: two}\n"
    )
    one, two = read_fleet(file)
    assert (one.name, one.api_servers, one.place) == ("a", 3, "line 2")
    for each, own, other in ((one, "one", "two"), (two, "two", "one")):
        document = parse_kubeconfig(each.kubeconfig.encode())
        assert document.current_context == own and [user.name for user in document.users] == [own]
        assert [cluster.server for cluster in document.clusters] == [f"https://{own}.example.com"]
        assert f"token-of-{other}" not in each.kubeconfig


def test_a_context_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "there").write_text(KUBECONFIG)
    file = tmp_path / "fleet.yaml"
    file.write_text("clusters:\n- {name: a, kubeconfig: there, context: three}\n")
    with pytest.raises(OperatorError, match=r"line 2: .* has no context 'three'; it has one, two"):
        read_fleet(file)
