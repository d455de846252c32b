"""The past, folded from events: how a credential, a cluster and a person stood behind a given event.

A state at a past moment is what would have been answered then: from the events that were recorded up to it, by
recorded_at, and from facts that never change (a certificate's own). Nothing here reads a clock.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from kubecustody.core.states import Credential, RemovedBy

# The kinds that the folds below read. Statements of the store name them too; a test compares.
CREDENTIAL_KINDS: Final = frozenset(
    {
        "credential_imported",
        "credential_issued",
        "credential_matched",
        "credential_assigned",
        "credential_chain_completed",
        "verdict_changed",
        "removal_requested",
        "removal_attested",
        "removal_withdrawn",
        "removal_lapsed",
        "removal_proved",
        "credential_restored",
    }
)
CLUSTER_KINDS: Final = frozenset(
    {
        "cluster_added",
        "cluster_renamed",
        "cluster_state_told",
        "cluster_state_seen",
        "cluster_reached",
        "cluster_not_reached",
        "cluster_identity_changed",
        "trust_changed",
        "cluster_deleted",
        "cluster_purged",
    }
)
PERSON_KINDS: Final = frozenset(
    {"account_created", "principal_created", "principal_disabled", "principal_enabled", "principal_deleted"}
)


class Step(NamedTuple):
    """What a fold reads of an event."""

    event_no: int
    recorded_at_ms: int
    kind: str
    uid: str
    actor: str
    reason: str
    details: str

    @property
    def at(self) -> int:
        """Unix seconds."""
        return self.recorded_at_ms // 1000

    @property
    def members(self) -> Mapping[str, Any]:
        """The details, parsed."""
        parsed: dict[str, Any] = json.loads(self.details)
        return parsed


class Recorded(NamedTuple):
    """What never changes of a recorded credential."""

    number: int
    issued_at: int
    not_before: int
    not_after: int | None
    masters: bool
    fingerprint: bytes
    common_name: str
    origin: str


class PastCluster(NamedTuple):
    """A cluster as it stood. reachable: None before the first contact.

    judged_no, judged_epoch: by which event all of its credentials were judged last, and against which bundle.
    """

    name: str
    state: str
    trust_epoch: int
    reachable: bool | None = None
    judged_no: int = 0
    judged_epoch: int = 0


class PastCredential(NamedTuple):
    """A credential as it stood: whose it was, its facts, and who removed it with which words, "" where nobody had."""

    uid: str
    facts: Credential
    removed_by_whom: str = ""
    removal_reason: str = ""


class PastPerson(NamedTuple):
    """A person as they stood."""

    disabled: bool = False
    deleted: bool = False


def cluster_then(steps: Iterable[Step]) -> PastCluster | None:
    """The cluster after these steps of its own, in order; None where it was not listed."""
    found: PastCluster | None = None
    for step in steps:
        if step.kind == "cluster_added":
            found = PastCluster(step.members["name"], step.members["told_state"], 0)
        elif found is not None:
            found = _cluster_after(found, step)
    return found


def _cluster_after(before: PastCluster, step: Step) -> PastCluster | None:
    match step.kind:
        case "cluster_renamed":
            return before._replace(name=step.members["name"])
        case "cluster_state_told":
            return before._replace(state=step.members["told_state"])
        case "cluster_state_seen":
            return before._replace(state=step.members["state"])
        case "cluster_reached" | "cluster_not_reached":
            return before._replace(reachable=step.kind == "cluster_reached")
        case "cluster_identity_changed":  # nothing is vouched for, and it is not this cluster that answers
            return before._replace(trust_epoch=before.trust_epoch + 1, reachable=False)
        case "trust_changed":  # and every credential of the cluster is judged anew
            epoch = step.members["epoch"]
            return before._replace(trust_epoch=epoch, judged_no=step.event_no, judged_epoch=epoch)
        case "cluster_deleted":
            return before._replace(state="deleted")
        case "cluster_purged":
            return None
    return before


def credential_then(recorded: Recorded, steps: Iterable[Step], cluster: PastCluster) -> PastCredential | None:
    """The credential after these steps of its own, in order, in its cluster as that stood; None before the first."""
    found: PastCredential | None = None
    judged_no = 0
    for step in steps:
        if step.kind in ("credential_imported", "credential_issued"):
            found, judged_no = _as_recorded(recorded, step), step.event_no
        elif found is not None:
            found = _credential_after(found, step)
            judged_no = step.event_no if step.kind == "credential_chain_completed" else judged_no
    if found is not None and cluster.judged_no > judged_no:
        return found._replace(facts=found.facts._replace(trust_epoch=cluster.judged_epoch))
    return found


def _as_recorded(recorded: Recorded, step: Step) -> PastCredential:
    verdict = step.members
    facts = Credential(
        recorded.number,
        recorded.issued_at,
        recorded.not_before,
        recorded.not_after,
        verdict["vouched_until"],
        verdict["trust_epoch"],
        verdict["verdict"],
        recorded.masters,
    )
    return PastCredential(step.uid, facts)


def _credential_after(before: PastCredential, step: Step) -> PastCredential:
    facts = before.facts
    match step.kind:
        case "credential_matched" | "credential_assigned":
            return before._replace(uid=step.uid)
        case "verdict_changed":
            judged = step.members
            facts = facts._replace(verdict=judged["verdict"], vouched_until=judged["vouched_until"])
            return before._replace(facts=facts)
        case "credential_chain_completed":
            judged = step.members
            facts = facts._replace(
                verdict=judged["verdict"], vouched_until=judged["vouched_until"], trust_epoch=judged["trust_epoch"]
            )
            return before._replace(facts=facts)
        case "removal_requested":
            return before._replace(facts=facts._replace(removal_requested_at=step.at))
        case "removal_attested" | "removal_proved":
            attested = step.kind == "removal_attested"
            facts = facts._replace(removed_at=step.at, removed_by=RemovedBy.ATTESTED if attested else RemovedBy.PROVED)
            if attested and facts.removal_requested_at is None:
                facts = facts._replace(removal_requested_at=step.at)
            return PastCredential(before.uid, facts, step.actor, step.members.get("text") or step.reason)
        case "credential_restored":
            return PastCredential(
                before.uid, facts._replace(removed_at=None, removed_by=None, removal_requested_at=None)
            )
        case "removal_withdrawn" | "removal_lapsed":
            return PastCredential(before.uid, facts._replace(removed_at=None, removed_by=None))
    return before


def person_then(steps: Iterable[Step]) -> PastPerson | None:
    """The person after these steps of their own, in order; None before they were made."""
    found: PastPerson | None = None
    for step in steps:
        if step.kind in ("account_created", "principal_created"):
            found = PastPerson()
        elif found is not None and step.kind == "principal_deleted":
            found = found._replace(deleted=True)
        elif found is not None:
            found = found._replace(disabled=step.kind == "principal_disabled")
    return found
