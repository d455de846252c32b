"""What an operation is: one record, which every reader derives its part from.

An odd operation is a field here, never an exception elsewhere.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from kubecustody.catalogue.shapes import Shape
from kubecustody.core.errors import RequestError

API_VERSION = "2015-12-15"
LARGEST_INTEGER = 2**31 - 1


class Effect(StrEnum):
    """What an operation does, as a policy and a person must know it. "Only reads" means exactly {READS}."""

    READS = "reads"
    ISSUES = "issues"
    DISCLOSES_KEY = "discloses_key"
    REMOVES = "removes"
    GRANTS = "grants"
    RESTORES = "restores"
    ATTESTS = "attests"
    CHANGES_SETTINGS = "changes_settings"


class AccessLevel(StrEnum):
    """The access level that the provider's page of an operation gives."""

    NONE = "none"
    READ = "read"
    WRITE = "write"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of an operation's change history: the day (YYYY-MM-DD) and what changed."""

    day: str
    summary: str


FORMS_SAID = Change("2026-11-25", "What texts must look like is said; what is not so is refused, also an empty one.")


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """One operation of the API. Each is one object, compared and hashed as such.

    path has its parameters as {WireName}. action_names: every RAM action that stands for it, the one of its
    page first. resource: the ARN that a policy must match, with {region_id} and {account_id}; `*` at the end
    where the provider knows no resource level, {ClusterId} and its like from the path. output: None where a success
    has nothing to say; returns_list: the answer is an array of it; absent: members of the provider's answer, dotted,
    that are never in ours, since nothing here knows them. account_only: refused to every user and role but a
    delegated administrator, who needs an Allow that names the action and each of delegation_needs. undocumented: the
    provider has it, but neither its pages nor its SDKs. errors: what it can raise beyond what every operation can.
    condition_keys: those that a policy on this operation can ask beyond the ones of every request. associated: actions
    that the caller needs as well. changes: its history; `docs.generate` demands an entry where its shape changed.
    largest_body_bytes: of its body, where that is more than the setting max_body_bytes.
    """

    name: str
    method: str
    path: str
    summary: str
    description: str
    action_names: tuple[str, ...]
    access_level: AccessLevel
    resource: str
    effects: frozenset[Effect]
    input: type[Shape]
    output: type[Shape] | None
    errors: tuple[type[RequestError], ...] = ()
    changes: tuple[Change, ...] = ()
    ours: bool = False
    returns_list: bool = False
    absent: tuple[str, ...] = ()
    account_only: bool = False
    delegation_needs: tuple[str, ...] = ()
    undocumented: bool = False
    largest_body_bytes: int = 0
    deprecated: bool = False
    condition_keys: tuple[str, ...] = ()
    associated: tuple[str, ...] = ()
    folded_actions: frozenset[str] = field(init=False)
    names_cluster: bool = field(init=False)
    answers_request_id: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names_cluster", "{ClusterId}" in self.resource)
        object.__setattr__(self, "folded_actions", frozenset(name.lower() for name in self.action_names))
        answers = self.output is not None and "request_id" in self.output.__struct_fields__
        object.__setattr__(self, "answers_request_id", answers)


ALL_RESOURCES = "acs:cs:{region_id}:{account_id}:*"
ONE_CLUSTER = "acs:cs:{region_id}:{account_id}:cluster/{ClusterId}"
ALL_CLUSTERS = "acs:cs:{region_id}:{account_id}:cluster/*"
