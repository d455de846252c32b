"""Generated pages are held against their source by `docs.generate --check`; what they give to copy is tried here."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from documentation.blocks import ROOT
from installations import PROGRAM
from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import OPERATIONS

CLUSTER = "c5b5e80b0b64a4bf6939d2d8fbbc51a7e"


def policy_of(operation: Operation) -> dict[str, Any]:
    """The policy on the operation's page that is to allow just this call."""
    page = (ROOT / "docs" / "reference" / "api" / f"{operation.name}.md").read_text()
    blocks = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (policy,) = (json.loads(text) for text in blocks if '"Statement"' in text)
    return dict(policy)


def expected(operation: Operation, policy: dict[str, Any], decision: str) -> dict[str, Any]:
    """An expectation as `kubecustody policy test` takes it."""
    call = {"operation": operation.name, "delegated_admin": operation.account_only}
    if operation.names_cluster:
        call["cluster"] = CLUSTER
    return {"name": f"{operation.name}: {decision}", "policies": [policy], "expect": decision, **call}


def test_the_policy_on_the_page_of_an_operation_allows_just_it(tmp_path: Path) -> None:
    wanted = []
    for operation in OPERATIONS:
        policy = policy_of(operation)
        named = policy["Statement"][0]["Action"]
        given = {named.lower()} if isinstance(named, str) else {name.lower() for name in named}
        wanted.append(expected(operation, policy, "allow"))
        others = [one for one in OPERATIONS if not one.folded_actions & (operation.folded_actions | given)]
        wanted += [expected(one, policy, "deny") for one in others]
    assert len(wanted) > len(OPERATIONS) * (len(OPERATIONS) - 5)
    file = tmp_path / "expectations.json"
    file.write_text(json.dumps(wanted))
    done = subprocess.run([*PROGRAM, "policy", "test", file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[:2000] + done.stderr[:2000]
    assert f"{len(wanted)} of {len(wanted)} expectations hold" in done.stdout
