"""One credential at a time: finding, looking at and revoking it. Ours: the provider has nothing like it."""

from typing import Annotated

from kubecustody.catalogue.forms import CREDENTIAL as CREDENTIAL_FORM
from kubecustody.catalogue.forms import FINGERPRINT, SERIAL, TIME, Form
from kubecustody.catalogue.members import CLUSTER_ID, COMPROMISED, past_time, reason_for
from kubecustody.catalogue.model import FORMS_SAID, AccessLevel, Change, Effect, Operation
from kubecustody.catalogue.shapes import UNSET, Location, Member, Shape, UnsetType
from kubecustody.catalogue.states import CAN_GET_IN, CERT_STATES
from kubecustody.core.errors import (
    ClusterNotFound,
    CredentialAmbiguous,
    CredentialNotFound,
    RevokeForbidden,
    UserNotFound,
)
from kubecustody.core.prospects import Prospect
from kubecustody.core.states import CertState

_ALL = "acs:kubecustody:{region_id}:{account_id}:cluster/*"
_ONE = "acs:kubecustody:{region_id}:{account_id}:cluster/{ClusterId}"
_FINGERPRINT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
# Places in the orders of a list; empty for its begin, as many a loop has it for the first call.
_TOKEN = Form("next_token of the answer before", r"(?:-?[0-9]{1,18}(?:[.]-?[0-9]{1,18}){0,2})?")

LIVE = "Live"
MOST_CREDENTIALS = 500

HELD_STATES: dict[str, str] = {state: text for state, text in CERT_STATES.items() if state != CertState.UNISSUED}
STATE_FILTERS: dict[str, str] = {
    LIVE: "It may still get in: neither Removed nor Expired.",
    **HELD_STATES,
}
HOLDER_STATES = {
    "Active": "The holder may call this API.",
    "InActive": "The holder is disabled.",
    "Deleted": "The holder was deleted.",
    "Unmatched": "Whose it is is not known.",
}
ORIGINS = {
    "issued": "It was issued here.",
    "imported": "It was imported from a file.",
    "recorded": "Only a record of it is known.",
}
PROSPECTS = {
    Prospect.NOTHING: "It is Removed or Expired already.",
    Prospect.PROOF: "This server takes it out of its own bindings in the cluster and shows Removed when the cluster "
    "has proved it; a binding that somebody else made is not touched.",
    Prospect.ATTESTATION: "It is Removed on the word of the cluster's operator; nothing proves it.",
    Prospect.WISH: "Its removal is recorded as asked for, and it is never handed out again. Nothing here is written to "
    "the cluster: it lives until somebody takes its bindings away, or until it ends.",
    Prospect.LIVES_ON: "It is of system:masters, which passes every authorizer: it lives until it ends or the "
    "cluster's client CA is changed.",
}


class ListCredentialsInput(Shape):
    """Which credentials, and where to go on."""

    uid: Annotated[
        str,
        Member(
            "The ID of the holder. Left out, everybody's, and those whose holder is not known.",
            example="200000000000000001",
            wire_name="Uid",
            location=Location.QUERY,
            most=64,
            ours=True,
        ),
    ] = ""
    cluster_id: Annotated[
        str,
        Member(
            "The cluster ID. Left out, those of every cluster.",
            example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e",
            wire_name="ClusterId",
            location=Location.QUERY,
            most=128,
            ours=True,
        ),
    ] = ""
    state: Annotated[
        str,
        Member(
            "Only those in this state now. Left out, in any.",
            example=LIVE,
            wire_name="State",
            location=Location.QUERY,
            values=STATE_FILTERS,
            ours=True,
        ),
    ] = ""
    expires_before: Annotated[
        str,
        Member(
            "Only those whose certificate ends before this time.",
            example="2026-12-24T00:00:00Z",
            wire_name="ExpiresBefore",
            location=Location.QUERY,
            form=TIME,
            most=40,
            ours=True,
        ),
    ] = ""
    deleted_holders: Annotated[
        bool,
        Member(
            "Whether only those whose holder was deleted.",
            example="true",
            wire_name="DeletedHolders",
            location=Location.QUERY,
            ours=True,
        ),
    ] = False
    fingerprint: Annotated[
        str,
        Member(
            "Only those of this certificate.",
            example=_FINGERPRINT,
            wire_name="Fingerprint",
            location=Location.QUERY,
            form=FINGERPRINT,
            most=95,
            ours=True,
        ),
    ] = ""
    serial: Annotated[
        str,
        Member(
            "Only those whose certificate has this serial number. Several CAs may have given the same.",
            example="5f3a9c",
            wire_name="Serial",
            location=Location.QUERY,
            form=SERIAL,
            excludes=("Fingerprint",),
            most=95,
            ours=True,
        ),
    ] = ""
    max_results: Annotated[
        int,
        Member(
            "The largest number of entries in one answer.",
            example="50",
            wire_name="MaxResults",
            location=Location.QUERY,
            minimum=1,
            maximum=MOST_CREDENTIALS,
            ours=True,
        ),
    ] = 50
    next_token: Annotated[
        str,
        Member(
            "Where to go on, with the same filters.",
            wire_name="NextToken",
            location=Location.QUERY,
            form=_TOKEN,
            most=80,
            ours=True,
        ),
    ] = ""
    at: Annotated[
        str,
        past_time(", by number.", "At", excludes=("Fingerprint", "Serial")),
    ] = ""


class CredentialRow(Shape):
    """One credential: a client certificate in one cluster. A certificate known in two clusters is two."""

    fingerprint: Annotated[
        str, Member("Lower-case hex SHA-256 of the DER certificate; empty for a mere record.", ours=True)
    ]
    serial: Annotated[str, Member("The certificate's serial number in hex.", example="5f3a9c", ours=True)]
    common_name: Annotated[
        str, Member("The certificate's common name.", example="200000000000000001-1795514400123456789", ours=True)
    ]
    organizations: Annotated[list[str], Member("The certificate's organizations: groups in the cluster.", ours=True)]
    uid: Annotated[str, Member("The ID of the holder; empty where it is not known.", ours=True)]
    holder_name: Annotated[str, Member("The holder's name; empty where there is none any more.", ours=True)]
    holder_state: Annotated[
        str, Member("What became of the holder.", example="Active", values=HOLDER_STATES, ours=True)
    ]
    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", ours=True)]
    cluster_name: Annotated[str, Member("The cluster name.", example="cluster-demo", ours=True)]
    cluster_state: Annotated[str, Member("The state of the cluster.", example="running", ours=True)]
    cert_state: Annotated[
        str,
        Member(
            "The state of the certificate.",
            example="Unexpired",
            values=HELD_STATES,
            ours=True,
        ),
    ]
    can_get_in: Annotated[
        str, Member("Whether it gets into the cluster.", example="unproven", values=CAN_GET_IN, ours=True)
    ]
    not_before: Annotated[str, Member("From when on it is valid (RFC 3339, UTC).", ours=True)]
    cert_expire_time: Annotated[
        str,
        Member("When it ends (RFC 3339, UTC); empty where no end is known.", example="2027-03-10T09:56:17Z", ours=True),
    ]
    issued_at: Annotated[str, Member("When it was issued (RFC 3339, UTC); of imports not_before.", ours=True)]
    origin: Annotated[str, Member("Where it comes from.", example="issued", values=ORIGINS, ours=True)]
    masters: Annotated[bool, Member("Whether it is of system:masters, which passes every authorizer.", ours=True)]
    removal_requested_at: Annotated[
        str | None, Member("Since when its removal is asked for (RFC 3339, UTC); null if it is not.", ours=True)
    ]
    removed_at: Annotated[str | None, Member("Since when it is Removed (RFC 3339, UTC); null if it is not.", ours=True)]
    removed_by: Annotated[
        str, Member("What shows that it is Removed: attested or proved; empty if it is not.", ours=True)
    ]


class ListCredentialsOutput(Shape):
    """Some of the credentials, in a fixed order."""

    credentials: Annotated[list[CredentialRow], Member("The credentials.", ours=True)]
    next_token: Annotated[str | UnsetType, Member("Where to go on; absent where there is nothing more.", ours=True)] = (
        UNSET
    )


LIST_CREDENTIALS = Operation(
    name="ListCredentials",
    method="GET",
    path="/credentials",
    summary="List credentials one by one: by holder, cluster, state, expiry, fingerprint or serial number.",
    description="One entry for each client certificate in each cluster. The filters are joined by and. Each call looks "
    "at a limited number of credentials, so an answer may have fewer entries than asked for, or none, and still a "
    "next_token: only where that is absent is there nothing more. What is recorded meanwhile comes last, or in its "
    "place of a holder's.",
    action_names=("kubecustody:ListCredentials",),
    access_level=AccessLevel.LIST,
    resource=_ALL,
    effects=frozenset({Effect.READS}),
    changes=(Change("2026-11-24", "At answers for a past time."), FORMS_SAID),
    input=ListCredentialsInput,
    output=ListCredentialsOutput,
    errors=(UserNotFound, ClusterNotFound),
    ours=True,
)

CREDENTIAL = Member(
    "Which credential of the cluster: the fingerprint of its certificate (64 hex digits) or its serial number (fewer).",
    example=_FINGERPRINT,
    wire_name="Credential",
    location=Location.PATH,
    form=CREDENTIAL_FORM,
    most=95,
    ours=True,
)


class DescribeCredentialInput(Shape):
    """Which credential of which cluster."""

    cluster_id: Annotated[str, CLUSTER_ID]
    credential: Annotated[str, CREDENTIAL]
    at: Annotated[
        str,
        past_time(", without evidence, prospect and private_key. It goes with a fingerprint.", "At"),
    ] = ""


class CredentialEvidence(Shape):
    """The newest evidence of one kind."""

    kind: Annotated[
        str,
        Member("What was looked at: binding_scan, access_review, used, rules_review, ca_gone or shared_ca.", ours=True),
    ]
    api_server: Annotated[
        str, Member("On which API server, or in which other cluster; empty for the cluster's own address.", ours=True)
    ]
    outcome: Annotated[str, Member("What came of it: refused, allowed or unproven.", example="refused", ours=True)]
    told: Annotated[str, Member("What was seen, in a sentence.", ours=True)]
    observed_at: Annotated[str, Member("When it was (RFC 3339, UTC).", ours=True)]


class CredentialRemoval(Shape):
    """One step in the removal of a credential, or in taking it back."""

    kind: Annotated[
        str, Member("What happened: attested, proved, withdrawn, lapsed or restored.", example="proved", ours=True)
    ]
    at: Annotated[str, Member("When it was (RFC 3339, UTC).", ours=True)]
    actor: Annotated[str, Member("Who did it.", ours=True)]
    reason: Annotated[str, Member("Why it was done.", ours=True)]


class CredentialEvent(Shape):
    """One event about a credential."""

    event_no: Annotated[int, Member("Its number in the account.", example="17", ours=True)]
    at: Annotated[str, Member("When it was recorded (RFC 3339, UTC).", ours=True)]
    kind: Annotated[str, Member("What happened.", example="private_key_disclosed", ours=True)]
    actor: Annotated[str, Member("Who did it.", ours=True)]
    request_id: Annotated[str, Member("The ID of the request; empty for none.", ours=True)]
    reason: Annotated[str, Member("Why, where somebody said so.", ours=True)]


class DescribeCredentialOutput(CredentialRow):
    """One credential with all that is known of it."""

    cert_state_reason: Annotated[str, Member("Why it is in this state, in a sentence.", ours=True)] = ""
    prospect: Annotated[
        str, Member("What asking its removal leads to.", example=Prospect.PROOF, values=PROSPECTS, ours=True)
    ] = ""
    private_key: Annotated[
        str, Member("Where its private key is: kept here, destroyed, or not kept here.", example="kept", ours=True)
    ] = ""
    temporary_minutes: Annotated[
        int | None, Member("The validity that was asked for; null for a long-lived one.", example="60", ours=True)
    ] = None
    evidence: Annotated[
        tuple[CredentialEvidence, ...], Member("The newest evidence of each kind on each API server.", ours=True)
    ] = ()
    removals: Annotated[
        tuple[CredentialRemoval, ...], Member("The steps in its removal, the oldest first.", ours=True)
    ] = ()
    key_disclosures: Annotated[
        tuple[CredentialEvent, ...],
        Member("To whom its private key was given and when: at most 100, the newest first.", ours=True),
    ] = ()
    events: Annotated[
        tuple[CredentialEvent, ...],
        Member("What happened to it: at most 100 events, the newest first.", ours=True),
    ] = ()


DESCRIBE_CREDENTIAL = Operation(
    name="DescribeCredential",
    method="GET",
    path="/k8s/{ClusterId}/credentials/{Credential}",
    summary="Look at one credential: its facts, the evidence about it, its events, and who was given its private key.",
    description="A certificate that several clusters know is one credential in each of them; ListCredentials finds it "
    "in all.",
    action_names=("kubecustody:DescribeCredential",),
    access_level=AccessLevel.READ,
    resource=_ONE,
    effects=frozenset({Effect.READS}),
    input=DescribeCredentialInput,
    output=DescribeCredentialOutput,
    errors=(ClusterNotFound, CredentialNotFound, CredentialAmbiguous),
    changes=(Change("2026-11-24", "At answers for a past time."), FORMS_SAID),
    ours=True,
)


class RevokeCredentialInput(Shape):
    """Which credential of which cluster, and why."""

    cluster_id: Annotated[str, CLUSTER_ID]
    credential: Annotated[str, CREDENTIAL]
    reason: Annotated[str, reason_for("Why it is revoked", "found in a public repository")]
    dry_run: Annotated[
        bool,
        Member(
            "Whether only to tell what would happen.",
            example="true",
            wire_name="DryRun",
            location=Location.QUERY,
            ours=True,
        ),
    ] = False
    compromised: Annotated[bool, COMPROMISED] = False


class RevokeCredentialOutput(Shape):
    """What became, or would become, of the credential."""

    fingerprint: Annotated[str, Member("Lower-case hex SHA-256 of the DER certificate.", ours=True)]
    uid: Annotated[str, Member("The ID of the holder; empty where it is not known.", ours=True)]
    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", ours=True)]
    cert_state: Annotated[
        str,
        Member(
            "The state of the certificate now.",
            example="Unexpired",
            values=HELD_STATES,
            ours=True,
        ),
    ]
    changed: Annotated[
        bool, Member("Whether its removal was, or would be, asked for by this call and not before.", ours=True)
    ]
    removal_requested_at: Annotated[
        str | None, Member("Since when its removal is asked for (RFC 3339, UTC); null if it is not.", ours=True)
    ]
    prospect: Annotated[str, Member("What is to be expected.", example=Prospect.PROOF, values=PROSPECTS, ours=True)]
    outlook: Annotated[str, Member("What is to be expected, in a sentence.", ours=True)]


REVOKE_CREDENTIAL = Operation(
    name="RevokeCredential",
    method="DELETE",
    path="/k8s/{ClusterId}/credentials/{Credential}",
    summary="Ask the removal of one credential, and of nothing else.",
    description="From then on it is never handed out again, and the holder's other credentials and permissions stay. "
    "Whose it is plays no part. The state in the lists changes when there is evidence that it is powerless. A call for "
    "one whose removal was asked for before, or that cannot get in any more, changes nothing. Credentials of the "
    "cluster's own components and the one by which this server reaches the cluster are refused.",
    action_names=("kubecustody:RevokeCredential",),
    access_level=AccessLevel.WRITE,
    resource=_ONE,
    effects=frozenset({Effect.REMOVES}),
    input=RevokeCredentialInput,
    output=RevokeCredentialOutput,
    errors=(ClusterNotFound, CredentialNotFound, CredentialAmbiguous, RevokeForbidden),
    changes=(Change("2026-11-24", "Compromised."), FORMS_SAID),
    ours=True,
)

CREDENTIAL_OPERATIONS = (LIST_CREDENTIALS, DESCRIBE_CREDENTIAL, REVOKE_CREDENTIAL)
