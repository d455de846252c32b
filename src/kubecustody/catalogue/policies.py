"""The policies that every account has, derived from the operations' effects.

AliyunCSReadOnlyAccess allows exactly what only reads. KubecustodyAuditor does too, and denies whatever gives a private
key, so that no other policy beside it gives an auditor one. The provider's own of that name allows cs:Describe*, which
would mint private keys; the difference is written down in docs/provider-and-us.md.
"""

import json
from collections.abc import Callable
from functools import cache

from kubecustody.catalogue.kubeconfigs import DISCLOSE_OTHERS_KEY
from kubecustody.catalogue.model import Effect
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.core.policy import NamedPolicy
from kubecustody.core.policy_documents import parse_policy

FULL_ACCESS = "AliyunCSFullAccess"
READ_ONLY_ACCESS = "AliyunCSReadOnlyAccess"
AUDITOR = "KubecustodyAuditor"


def _document(**actions: list[str]) -> str:
    """A document with one statement for each effect, on every resource."""
    statements = [{"Effect": effect, "Action": names, "Resource": "*"} for effect, names in actions.items()]
    return json.dumps({"Version": "1", "Statement": statements})


def _names(effects: Callable[[frozenset[Effect]], bool]) -> list[str]:
    """The action names of every operation with such effects, sorted."""
    return sorted({name for operation in OPERATIONS if effects(operation.effects) for name in operation.action_names})


@cache
def builtin_documents() -> dict[str, str]:
    """The document of every built-in policy by its name."""
    reading = _names(lambda effects: effects == {Effect.READS})
    disclosing = _names(lambda effects: Effect.DISCLOSES_KEY in effects)
    return {
        FULL_ACCESS: _document(Allow=["cs:*"]),
        READ_ONLY_ACCESS: _document(Allow=reading),
        AUDITOR: _document(Allow=reading, Deny=[*disclosing, DISCLOSE_OTHERS_KEY]),
    }


@cache
def builtin_policies() -> dict[str, NamedPolicy]:
    """Every built-in policy by its name in lower case."""
    return {name.lower(): NamedPolicy(name, parse_policy(document)) for name, document in builtin_documents().items()}
