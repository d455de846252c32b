"""ListEvents and ListOwnEvents: what happened. Ours: the provider's ActionTrail is a service of its own."""

from typing import Annotated

from kubecustody.catalogue.forms import TIME, Form
from kubecustody.catalogue.model import FORMS_SAID, AccessLevel, Change, Effect, Operation
from kubecustody.catalogue.shapes import Location, Member, Shape
from kubecustody.core.errors import ClusterNotFound, UserNotFound
from kubecustody.core.events import KINDS

_ALL = "acs:kubecustody:{region_id}:{account_id}:*"

CLUSTER_FILTER = Member(
    "Only events about this cluster; a purged one too.",
    example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e",
    wire_name="ClusterId",
    location=Location.QUERY,
    most=128,
    ours=True,
)
KIND_FILTER = Member(
    "Only events of this kind.",
    example="private_key_disclosed",
    wire_name="Kind",
    location=Location.QUERY,
    values=KINDS,
    ours=True,
)
START_TIME = Member(
    "Only events that were recorded at this time or later.",
    example="2026-11-01T00:00:00Z",
    wire_name="StartTime",
    location=Location.QUERY,
    form=TIME,
    most=40,
    ours=True,
)
END_TIME = Member(
    "Only events that were recorded before this time; not before StartTime.",
    example="2026-12-01T00:00:00Z",
    wire_name="EndTime",
    location=Location.QUERY,
    form=TIME,
    most=40,
    ours=True,
)
NEXT_TOKEN = Member(
    "Where to go on; left out, the newest events are answered.",
    wire_name="NextToken",
    location=Location.QUERY,
    form=Form("next_token of the answer before", "(?:[0-9]{1,18})?"),
    most=20,
    ours=True,
)
MAX_RESULTS = Member(
    "The most events of one answer.",
    example="50",
    wire_name="MaxResults",
    location=Location.QUERY,
    minimum=1,
    maximum=200,
    ours=True,
)

_CLOCKS = Change("2026-11-25", "The kinds cluster_clock_differs and cluster_clock_agrees.")


class ListOwnEventsInput(Shape):
    """Which events about the caller, and from where on."""

    cluster_id: Annotated[str, CLUSTER_FILTER] = ""
    kind: Annotated[str, KIND_FILTER] = ""
    start_time: Annotated[str, START_TIME] = ""
    end_time: Annotated[str, END_TIME] = ""
    next_token: Annotated[str, NEXT_TOKEN] = ""
    max_results: Annotated[int, MAX_RESULTS] = 50


class ListEventsInput(Shape):
    """Which events, and from where on."""

    uid: Annotated[
        str,
        Member(
            "Only events about this user or role.",
            example="200000000000000001",
            wire_name="Uid",
            location=Location.QUERY,
            most=64,
            ours=True,
        ),
    ] = ""
    cluster_id: Annotated[str, CLUSTER_FILTER] = ""
    kind: Annotated[str, KIND_FILTER] = ""
    start_time: Annotated[str, START_TIME] = ""
    end_time: Annotated[str, END_TIME] = ""
    next_token: Annotated[str, NEXT_TOKEN] = ""
    max_results: Annotated[int, MAX_RESULTS] = 50


class ListedEvent(Shape):
    """One event. It holds ids and never the name of a person."""

    event_no: Annotated[int, Member("Its number: without a gap, in the order in which changes were made.", ours=True)]
    recorded_at: Annotated[str, Member("When it was recorded here (RFC 3339, UTC).", ours=True)]
    occurred_at: Annotated[
        str, Member("When the fact itself was: of an imported certificate, when it began to be valid.", ours=True)
    ]
    kind: Annotated[str, Member("What happened.", example="credential_issued", ours=True)]
    actor: Annotated[
        str, Member("Who did it: an ARN, os:uid/user@host for a command on the machine, or the server.", ours=True)
    ]
    request_id: Annotated[str, Member("The request that did it; empty for what was no request.", ours=True)]
    uid: Annotated[str, Member("Whom it is about; empty for nobody.", ours=True)]
    cluster_id: Annotated[str, Member("Which cluster it is about; empty for none.", ours=True)]
    subject: Annotated[
        str, Member("What was changed: credential/FINGERPRINT, policy/NAME and their like; or empty.", ours=True)
    ]
    reason: Annotated[str, Member("Why, where somebody said so.", ours=True)]
    details: Annotated[str, Member("What else is known: a JSON object as text.", ours=True)]


class ListEventsOutput(Shape):
    """Events, the newest first."""

    events: Annotated[
        list[ListedEvent],
        Member(
            "The events. There may be fewer than MaxResults, or none, and still more to come: see next_token.",
            ours=True,
        ),
    ]
    next_token: Annotated[
        str, Member("What to send for the ones before these; empty where there are none.", ours=True)
    ] = ""


_DESCRIPTION = (
    "The newest first, as fast from any point of a long history as from its begin. One call looks at 1,000 events at "
    "most; where a filter beside the first one that is given leaves few of them, the answer is short and next_token "
    "leads on."
)

LIST_EVENTS = Operation(
    name="ListEvents",
    method="GET",
    path="/audit/events",
    summary="List what happened in the account.",
    description=_DESCRIPTION,
    action_names=("kubecustody:ListEvents",),
    access_level=AccessLevel.LIST,
    resource=_ALL,
    effects=frozenset({Effect.READS}),
    changes=(FORMS_SAID, _CLOCKS),
    input=ListEventsInput,
    output=ListEventsOutput,
    errors=(UserNotFound, ClusterNotFound),
    ours=True,
)

LIST_OWN_EVENTS = Operation(
    name="ListOwnEvents",
    method="GET",
    path="/audit/own-events",
    summary="List what happened that is about the caller.",
    description=f"The events that ListEvents shows for the caller's own uid, for people who may not see the rest. "
    f"{_DESCRIPTION}",
    action_names=("kubecustody:ListOwnEvents",),
    access_level=AccessLevel.LIST,
    resource=_ALL,
    effects=frozenset({Effect.READS}),
    changes=(FORMS_SAID, _CLOCKS),
    input=ListOwnEventsInput,
    output=ListEventsOutput,
    errors=(ClusterNotFound,),
    ours=True,
)

EVENT_OPERATIONS = (LIST_EVENTS, LIST_OWN_EVENTS)
