"""The policies that every account has, derived from the operations' effects.

AliyunCSReadOnlyAccess allows exactly what only reads. The provider's own of that name allows cs:Describe*, which
would mint private keys; the difference is written down in docs/provider-and-us.md.
"""

import json
from functools import cache

from kubecustody.catalogue.model import Effect
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.core.policy import NamedPolicy, parse_policy

FULL_ACCESS = "AliyunCSFullAccess"
READ_ONLY_ACCESS = "AliyunCSReadOnlyAccess"


def _allow(actions: list[str]) -> str:
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    return json.dumps({"Version": "1", "Statement": [statement]})


@cache
def builtin_documents() -> dict[str, str]:
    """The document of every built-in policy by its name."""
    reading = sorted(
        action for operation in OPERATIONS if operation.effects == {Effect.READS} for action in operation.action_names
    )
    return {FULL_ACCESS: _allow(["cs:*"]), READ_ONLY_ACCESS: _allow(reading)}


@cache
def builtin_policies() -> dict[str, NamedPolicy]:
    """Every built-in policy by its name in lower case."""
    return {name.lower(): NamedPolicy(name, parse_policy(document)) for name, document in builtin_documents().items()}
