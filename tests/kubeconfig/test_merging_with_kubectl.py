"""What kubectl reads in a file that a kubeconfig of ours was merged into, and what it writes there itself."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubecustody.core.errors import OperatorError
from kubecustody.kubeconfig.merging import SINGULARS, merge_kubeconfig, read_existing, write_private
from kubecustody.kubeconfig.rendering import KubeconfigParts, NameStyle, render_kubeconfig

from .conftest import Kubectl

pytestmark = pytest.mark.control_plane

NOW = datetime(2026, 11, 24, 17, 0, 5, tzinfo=UTC)
PARTS = KubeconfigParts(
    "2001", "c1", "https://203.0.113.7:6443", b"-----BEGIN ca", b"-----BEGIN certificate", b"-----BEGIN key"
)
OURS = render_kubeconfig(PARTS, NameStyle.UNIQUE)
RENEWED = render_kubeconfig(PARTS._replace(private_key=b"-----BEGIN other"), NameStyle.UNIQUE)

BY_HAND = """\
# by hand
apiVersion: v1
kind: Config
users:   # people
  - name: anna
    user:
      token: 'abc'   # until May
clusters:
- {name: prod, cluster: {server: "https://192.0.2.1"}}

contexts:
    -   context: {cluster: prod, user: anna, namespace: team}
        name: work
current-context: work
# the end"""

FORMS = {
    "absent": None,
    "empty": "",
    "comments": "# mine\n",
    "document start": "---\n# mine",
    "null": "apiVersion: v1\nkind: Config\nclusters: null\ncontexts: null\nusers: null\ncurrent-context: ''\n",
    "empty json": "{}",
    "without lists": "kind: Config\n",
    "by hand": BY_HAND,
    "by hand, CRLF": BY_HAND.replace("\n", "\r\n"),
    "flow": yaml.safe_dump(yaml.safe_load(BY_HAND), default_flow_style=True, width=40),
    "json": json.dumps(yaml.safe_load(BY_HAND)),
    "json with tabs": json.dumps(yaml.safe_load(BY_HAND), indent="\t"),
    "byte order mark": "\ufeff" + BY_HAND,
}


def merge_in(path: Path, new: str = OURS) -> None:
    existing = read_existing(path)
    write_private(path, merge_kubeconfig(existing, new).text, backup=True, now=NOW, expected=existing)


def seen(kubectl: Kubectl) -> Any:
    return json.loads(kubectl.config("view", "--raw", "-o", "json"))


def by_name(document: Any) -> dict[str, dict[str, Any]]:
    return {
        plural: {one["name"]: one[singular] for one in document[plural] or ()} for plural, singular in SINGULARS.items()
    }


@pytest.mark.parametrize("form", FORMS)
def test_kubectl_reads_what_was_there_and_what_was_merged_in(kubectl: Kubectl, form: str) -> None:
    text = FORMS[form]
    if text is not None:
        kubectl.path.write_text(text, newline="")
    before = seen(kubectl)
    merge_in(kubectl.path)
    after = seen(kubectl)
    ours = by_name(yaml.safe_load(OURS))
    assert by_name(after) == {plural: by_name(before)[plural] | ours[plural] for plural in SINGULARS}
    current = before["current-context"] or "2001-c1"
    assert kubectl.config("current-context").decode() == f"{current}\n"
    names = kubectl.config("get-contexts", "-o", "name").decode().split()
    assert set(names) == {*by_name(before)["contexts"], "2001-c1"}


def test_kubectl_can_go_on_with_the_file_and_what_it_added_stays(kubectl: Kubectl) -> None:
    kubectl.path.write_text(BY_HAND)
    merge_in(kubectl.path)
    kubectl.config("use-context", "2001-c1")
    kubectl.config("set-context", "--current", "--namespace=team")
    kubectl.config("set-cluster", "c1", "--proxy-url=http://192.0.2.9:3128")
    written = kubectl.path.read_text()
    merge_in(kubectl.path)
    assert kubectl.path.read_text() == written
    before = by_name(seen(kubectl))
    merge_in(kubectl.path, RENEWED)
    after = by_name(seen(kubectl))
    assert after.pop("users").pop("2001-c1") == yaml.safe_load(RENEWED)["users"][0]["user"]
    assert after == {plural: before[plural] for plural in ("clusters", "contexts")}
    assert kubectl.config("current-context") == b"2001-c1\n"


def test_what_kubectl_deleted_can_be_merged_in_again(kubectl: Kubectl) -> None:
    merge_in(kubectl.path)
    for command in ("delete-context", "delete-user"):
        kubectl.config(command, "2001-c1")
    kubectl.config("delete-cluster", "c1")
    kubectl.config("unset", "current-context")
    merge_in(kubectl.path)
    assert by_name(seen(kubectl)) == by_name(yaml.safe_load(OURS))
    assert kubectl.config("current-context") == b"2001-c1\n"


def test_what_is_in_the_way_goes_by_the_command_that_the_refusal_names(kubectl: Kubectl) -> None:
    kubectl.config("set-cluster", "c1", "--server=https://192.0.2.1")
    with pytest.raises(OperatorError, match="`kubectl config delete-cluster c1`"):
        merge_in(kubectl.path)
    kubectl.config("delete-cluster", "c1")
    merge_in(kubectl.path)
    assert by_name(seen(kubectl)) == by_name(yaml.safe_load(OURS))


def test_the_lock_that_is_respected_is_kubectls_own(kubectl: Kubectl) -> None:
    kubectl.path.write_text(BY_HAND)
    lock = kubectl.path.with_name("config.lock")
    lock.touch(0)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        kubectl.config("use-context", "work")
    assert b"config.lock: file exists" in refused.value.stderr
    with pytest.raises(OperatorError, match=r"config.lock is there"):
        merge_in(kubectl.path)
    assert kubectl.path.read_text() == BY_HAND
    lock.unlink()
    kubectl.config("use-context", "work")
    merge_in(kubectl.path)
    assert not lock.exists()
