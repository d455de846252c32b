"""Registering clusters that can be reached, and looking at them. Ours: the provider makes its clusters itself."""

from typing import Annotated

from kubecustody.catalogue.forms import CLUSTER_NAME, HTTPS_URL, SHA256_HEX
from kubecustody.catalogue.members import CLUSTER_ID
from kubecustody.catalogue.model import FORMS_SAID, AccessLevel, Change, Effect, Operation
from kubecustody.catalogue.shapes import Member, Shape
from kubecustody.core.errors import (
    BodyMalformed,
    ClusterNotFound,
    ClusterNotUsable,
    ClustersNotUsable,
    ClusterStateForbids,
    PlanChanged,
)

_ALL = "acs:kubecustody:{region_id}:{account_id}:cluster/*"
_ONE = "acs:kubecustody:{region_id}:{account_id}:cluster/{ClusterId}"
_CHANGES = frozenset({Effect.CHANGES_SETTINGS})


class RegisterClusterInput(Shape):
    """Which cluster, and how it is reached."""

    kubeconfig: Annotated[
        str,
        Member(
            "A kubeconfig, YAML, whose context is how this server reaches the cluster: with a token or a client "
            "certificate in it. Programs, files and proxies that it names are refused.",
            example="apiVersion: v1...",
            wire_name="Kubeconfig",
            most=200_000,
            ours=True,
            secret=True,
        ),
    ]
    name: Annotated[
        str,
        Member("The name of the cluster.", example="prod-eu", wire_name="Name", form=CLUSTER_NAME, most=63, ours=True),
    ]
    context: Annotated[
        str,
        Member("The context to use; left out, the kubeconfig's current one.", wire_name="Context", most=253, ours=True),
    ] = ""
    region_id: Annotated[
        str, Member("The region; left out, the account's.", wire_name="RegionId", most=63, ours=True)
    ] = ""
    public_endpoint: Annotated[
        str,
        Member(
            "The address in people's kubeconfigs; left out, the one that this server uses.",
            example="https://prod-eu.example.com:6443",
            wire_name="PublicEndpoint",
            form=HTTPS_URL,
            most=255,
            ours=True,
        ),
    ] = ""
    private_endpoint: Annotated[
        str,
        Member(
            "The intranet address in people's kubeconfigs.",
            wire_name="PrivateEndpoint",
            form=HTTPS_URL,
            most=255,
            ours=True,
        ),
    ] = ""
    declared_api_servers: Annotated[
        int | None,
        Member(
            "How many API servers the cluster has; left out, as many as it says itself.",
            example="3",
            wire_name="DeclaredApiServers",
            minimum=1,
            maximum=100,
            ours=True,
        ),
    ] = None
    replace_access: Annotated[
        bool,
        Member(
            "Whether, where this very cluster is registered already (or one of this name is recorded that was never "
            "reached), only its access is replaced. Its name, region and addresses stay as they are.",
            wire_name="ReplaceAccess",
            ours=True,
        ),
    ] = False
    replace_fields: Annotated[
        bool,
        Member(
            "With ReplaceAccess: whether its name, and region and addresses that are given, are replaced too.",
            wire_name="ReplaceFields",
            ours=True,
        ),
    ] = False
    dry_run: Annotated[
        bool, Member("Whether only to look at the cluster, and to record nothing.", wire_name="DryRun", ours=True)
    ] = False


class ClusterFinding(Shape):
    """One thing that was looked at in a cluster."""

    what: Annotated[str, Member("What was looked at.", example="version", ours=True)]
    ok: Annotated[bool, Member("Whether it is as it must be.", example="true", ours=True)]
    text: Annotated[str, Member("What was found, and what to do where it is not well.", ours=True)]


class ClusterReportOutput(Shape):
    """What was found in a cluster."""

    cluster_id: Annotated[
        str,
        Member("The cluster ID; empty where nothing was recorded, and with DryRun where none is this one.", ours=True),
    ]
    ok: Annotated[bool, Member("Whether all is as it must be.", example="true", ours=True)]
    findings: Annotated[list[ClusterFinding], Member("What was looked at, in order.", ours=True)]


REGISTER_CLUSTER = Operation(
    name="RegisterCluster",
    method="POST",
    path="/clusters/register",
    summary="Register a cluster that this server can reach.",
    description="Looks at the cluster at once and tells what it found. It is then only observed: nothing is written to "
    "it. The access is kept sealed. A cluster that is registered already is refused, unless its access is to be "
    "replaced.",
    action_names=("kubecustody:RegisterCluster",),
    access_level=AccessLevel.WRITE,
    resource=_ALL,
    effects=_CHANGES,
    input=RegisterClusterInput,
    output=ClusterReportOutput,
    errors=(BodyMalformed, ClusterNotUsable),
    ours=True,
    changes=(
        Change("2026-11-24", "ReplaceAccess: give a registered cluster another access."),
        Change("2026-11-24", "ReplaceFields; DryRun says which cluster it is already, and whether the name is taken."),
        FORMS_SAID,
    ),
)


MOST_APPLIED = 500
CLUSTER_CHANGES = {
    "added": "It was not registered yet.",
    "changed": "It is registered, and something is otherwise than asked.",
    "unchanged": "It is registered, and all is as asked.",
}


class AppliedClusterInput(Shape, rename="pascal"):
    """One cluster as it is to be; what is left out stays as it is."""

    kubeconfig: Annotated[str, Member("As of RegisterCluster.", most=200_000, ours=True, secret=True)]
    name: Annotated[str, Member("The name of the cluster.", example="prod-eu", form=CLUSTER_NAME, most=63, ours=True)]
    context: Annotated[
        str,
        Member("The context to use; left out, the kubeconfig's current one.", most=253, ours=True),
    ] = ""
    region_id: Annotated[str, Member("The region; for a new one left out, the account's.", most=63, ours=True)] = ""
    public_endpoint: Annotated[
        str,
        Member(
            "The address in people's kubeconfigs; for a new one left out, the one that this server uses.",
            example="https://prod-eu.example.com:6443",
            most=255,
            ours=True,
        ),
    ] = ""
    private_endpoint: Annotated[
        str,
        Member("The intranet address in people's kubeconfigs.", most=255, ours=True),
    ] = ""
    declared_api_servers: Annotated[
        int | None,
        Member(
            "How many API servers the cluster has.",
            example="3",
            minimum=1,
            maximum=100,
            ours=True,
        ),
    ] = None
    observe: Annotated[
        bool,
        Member(
            "Whether it is only observed from now on. To manage one needs its plan: ManageCluster.",
            ours=True,
        ),
    ] = False


class ApplyClustersInput(Shape):
    """Which clusters, each as it is to be."""

    clusters: Annotated[
        list[AppliedClusterInput],
        Member(
            "The clusters; each has a name of its own.",
            wire_name="Clusters",
            fewest=1,
            most=MOST_APPLIED,
            ours=True,
            secret=True,
        ),
    ]
    dry_run: Annotated[
        bool,
        Member(
            "Whether only to look, and to tell what would be otherwise. Nothing is recorded.",
            wire_name="DryRun",
            ours=True,
        ),
    ] = False


class AppliedCluster(Shape):
    """What became, or would become, of one cluster."""

    name: Annotated[str, Member("The name that was asked.", example="prod-eu", ours=True)]
    cluster_id: Annotated[str, Member("The cluster ID; empty for one that a DryRun would add.", ours=True)]
    mode: Annotated[str, Member("How this server has to do with it then.", example="observe", ours=True)]
    change: Annotated[str, Member("What is otherwise.", example="changed", values=CLUSTER_CHANGES, ours=True)]
    differences: Annotated[
        list[str], Member("Each difference, in a few words.", example="region local -> eu", ours=True)
    ]
    ok: Annotated[bool, Member("Whether all that was looked at is as it must be.", example="true", ours=True)]
    findings: Annotated[
        list[ClusterFinding],
        Member("What was looked at, in order; of one that is unchanged only whether it answers and how.", ours=True),
    ]


class ApplyClustersOutput(Shape):
    """What became of the clusters."""

    recorded: Annotated[bool, Member("Whether anything was recorded.", example="true", ours=True)]
    clusters: Annotated[list[AppliedCluster], Member("The clusters, in the order of the call.", ours=True)]


APPLY_CLUSTERS = Operation(
    name="ApplyClusters",
    method="POST",
    path="/clusters/apply",
    summary="Register several clusters, or change those that are registered, all of them or none.",
    description="Looks at each cluster, and then records all of them in one transaction. Where one does not answer or "
    "cannot be recorded nothing is, and every fault is named. A cluster is known by who it is (the uid of its "
    "namespace kube-system), whatever its name or address. Where all is as asked nothing is written. This server's "
    "access is replaced by another one; one of the same account that began before the one in use, such as that which "
    "was renewed since, is none. The call takes as long as the slowest of the clusters, eight at a time.",
    action_names=("kubecustody:ApplyClusters",),
    access_level=AccessLevel.WRITE,
    resource=_ALL,
    effects=_CHANGES,
    input=ApplyClustersInput,
    output=ApplyClustersOutput,
    errors=(BodyMalformed, ClustersNotUsable),
    changes=(FORMS_SAID,),
    ours=True,
    largest_body_bytes=4 * 1024 * 1024,
)


class TestClusterInput(Shape):
    """Which cluster."""

    __test__ = False  # no test of pytest's

    cluster_id: Annotated[str, CLUSTER_ID]


TEST_CLUSTER = Operation(
    name="TestCluster",
    method="POST",
    path="/clusters/{ClusterId}/test",
    summary="Look at a cluster that this server can reach, now.",
    description="As it is done when a cluster is registered, and now and then afterwards: what is seen is recorded.",
    action_names=("kubecustody:TestCluster",),
    access_level=AccessLevel.WRITE,
    resource=_ONE,
    effects=_CHANGES,
    input=TestClusterInput,
    output=ClusterReportOutput,
    errors=(ClusterNotFound, ClusterStateForbids, ClusterNotUsable),
    ours=True,
)


class ManageClusterInput(Shape):
    """Which cluster, and by which plan."""

    cluster_id: Annotated[str, CLUSTER_ID]
    mode: Annotated[
        str,
        Member(
            "What is to be done with the cluster.",
            example="manage",
            wire_name="Mode",
            values={
                "manage": "Its bindings are kept as they are wanted here.",
                "observe": "It is looked at, and never written to.",
            },
            ours=True,
        ),
    ] = "manage"
    plan_hash: Annotated[
        str,
        Member(
            "PlanHash of the answer that showed what managing would change. Left out, only that is shown.",
            wire_name="PlanHash",
            form=SHA256_HEX,
            most=64,
            ours=True,
        ),
    ] = ""


class PlannedStep(Shape):
    """One change that managing would make in the cluster."""

    what: Annotated[str, Member("What would be done: create, replace or delete.", example="create", ours=True)]
    binding: Annotated[str, Member("The binding: kind, namespace where it has one, and name, by slashes.", ours=True)]
    role: Annotated[str, Member("The ClusterRole that it gives.", example="cs:admin", ours=True)]
    subjects: Annotated[list[str], Member("The user names that it would have.", ours=True)]


class ManageClusterOutput(Shape):
    """How the cluster is kept, and what was, or would be, changed."""

    mode: Annotated[str, Member("How it is kept now.", example="observe", ours=True)]
    plan_hash: Annotated[str, Member("What identifies this plan: give it to carry the plan out.", ours=True)]
    steps: Annotated[list[PlannedStep], Member("What is to be changed, in order.", ours=True)]
    warnings: Annotated[list[str], Member("What stands in the way, or would be stopped.", ours=True)]


MANAGE_CLUSTER = Operation(
    name="ManageCluster",
    method="POST",
    path="/clusters/{ClusterId}/manage",
    summary="Keep a cluster's bindings as they are wanted here, or only observe it.",
    description="Without PlanHash it shows every change that managing would make and changes nothing. With the "
    "PlanHash of that answer, if it is still the plan, the cluster is managed from then on. With Mode=observe nothing "
    "is written to it any more.",
    action_names=("kubecustody:ManageCluster",),
    access_level=AccessLevel.WRITE,
    resource=_ONE,
    effects=frozenset({Effect.CHANGES_SETTINGS, Effect.GRANTS, Effect.REMOVES}),
    input=ManageClusterInput,
    output=ManageClusterOutput,
    errors=(ClusterNotFound, ClusterStateForbids, ClusterNotUsable, PlanChanged, BodyMalformed),
    changes=(FORMS_SAID,),
    ours=True,
)

REGISTERING_OPERATIONS = (REGISTER_CLUSTER, APPLY_CLUSTERS, TEST_CLUSTER, MANAGE_CLUSTER)
