"""Removing a cluster from this server. Ours: the provider's DeleteCluster destroys the cluster itself, and its callers
(Terraform's destroy) say nothing of what becomes of what people hold there.
"""

from typing import Annotated

from kubecustody.catalogue.members import CLUSTER_ID
from kubecustody.catalogue.model import ONE_CLUSTER, AccessLevel, Change, Effect, Operation
from kubecustody.catalogue.shapes import Member, Shape
from kubecustody.core.errors import ClusterNotFound, ClusterStateForbids

REMOVALS = {
    "clean": "The removal of everything that people hold there is asked first; the cluster goes once all is proved.",
    "leave": "What people hold there lives on until it ends, and nobody here can end it any more.",
}


class RemoveClusterInput(Shape):
    """Which cluster, and what becomes of what people hold there."""

    cluster_id: Annotated[str, CLUSTER_ID]
    removal: Annotated[
        str,
        Member(
            "What becomes of what people hold there.",
            example="clean",
            wire_name="Removal",
            values=REMOVALS,
            ours=True,
        ),
    ]
    dry_run: Annotated[
        bool,
        Member(
            "Whether only to tell what lives there, and to do nothing.",
            example="true",
            wire_name="DryRun",
            ours=True,
        ),
    ] = False


class LivingCredential(Shape):
    """A credential of the cluster that may still get in."""

    uid: Annotated[str, Member("The user's or role's ID; empty where the holder is not known.", ours=True)]
    common_name: Annotated[str, Member("The certificate's common name.", ours=True)]
    cert_expire_time: Annotated[str, Member("When it ends (RFC 3339, UTC); empty where no end is known.", ours=True)]
    removal_requested: Annotated[bool, Member("Whether its removal is asked.", ours=True)]


class RemoveClusterOutput(Shape):
    """Whether the cluster is gone from here, and what lives on in it."""

    cluster_id: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", ours=True)]
    state: Annotated[
        str,
        Member(
            "How far it is.",
            example="waiting",
            values={
                "told": "Nothing was done.",
                "waiting": "Removals are asked and not proved yet: the same call goes on.",
                "deleted": "It is gone from here, but for its record.",
            },
            ours=True,
        ),
    ]
    living_count: Annotated[int, Member("How many credentials may still get in.", example="2", ours=True)]
    living_until: Annotated[
        str,
        Member("When the last of them ends (RFC 3339, UTC); empty where no end is known or none lives.", ours=True),
    ]
    living: Annotated[list[LivingCredential], Member("The first 100 of them, by number.", ours=True)]
    notes: Annotated[list[str], Member("What stands in the way, or is left to do by hand.", ours=True)]


REMOVE_CLUSTER = Operation(
    name="RemoveCluster",
    method="POST",
    path="/clusters/{ClusterId}/remove",
    summary="Remove a cluster from this server, and say what lives on in it.",
    description="The cluster itself is not touched. With Removal=clean the removal of everything that people hold "
    "there is asked, and the cluster goes once nothing lives any more; until then the same call goes on and says what "
    "waits. With Removal=leave it goes at once, and the answer says what lives on until when. Without either the call "
    "is refused.",
    action_names=("kubecustody:RemoveCluster",),
    access_level=AccessLevel.WRITE,
    resource=ONE_CLUSTER.replace("acs:cs:", "acs:kubecustody:"),
    effects=frozenset({Effect.CHANGES_SETTINGS, Effect.REMOVES}),
    input=RemoveClusterInput,
    output=RemoveClusterOutput,
    errors=(ClusterNotFound, ClusterStateForbids),
    changes=(Change("2026-11-25", "Removal, which was demanded all along, is said to be mandatory."),),
    ours=True,
)
