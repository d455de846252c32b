"""Calls over several clusters, which are tasks, and what became of them.

Facts: the provider's reference pages of each, and its SDK alibabacloud-cs20151215 7.2.3, read 2026-11-24.
"""

from typing import Annotated

from kubecustody.catalogue.clusters import PageInfo
from kubecustody.catalogue.members import ALLOW_LAST_ADMIN, CLUSTER_ID, COMPROMISED
from kubecustody.catalogue.model import (
    ALL_RESOURCES,
    LARGEST_INTEGER,
    ONE_CLUSTER,
    AccessLevel,
    Change,
    Effect,
    Operation,
)
from kubecustody.catalogue.rehearsing import DRY_RUN, REHEARSAL, Rehearsal
from kubecustody.catalogue.shapes import UNSET, Location, Member, Shape, UnsetType
from kubecustody.core.errors import (
    AuditNotReadable,
    CleanForbidden,
    ClusterNotFound,
    LastAdmin,
    TaskNotFound,
    UserNotFound,
)

CLEAN_TASK = "clean-user-permissions"
MOST_CLUSTERS = 1000

TASK_STATES = {
    "running": "The task is not done yet.",
    "success": "It is done in every cluster.",
    "fail": "It is over, and was not done in every cluster.",
}
RESULT_STATES = {
    "waiting": "It was not this cluster's turn yet.",
    "success": "It is done in this cluster.",
    "failed": "It was not done in this cluster; an event says why.",
}


class CleanUserPermissionsInput(Shape):
    """Whose permissions, and in which clusters."""

    uid: Annotated[
        str,
        Member(
            "The ID of the RAM user or RAM role.",
            example="200000000000000001",
            wire_name="Uid",
            location=Location.PATH,
        ),
    ]
    cluster_ids: Annotated[
        list[str] | None,
        Member(
            "The clusters, as one comma-separated value or as ClusterIds.1, ClusterIds.2 and so on. Left out: every "
            "cluster in which the person holds something that may live or is permitted something; what is permitted "
            "for all clusters then goes too.",
            example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e,cd1de2d8f0d2d4b5c8b6f7f2e5d2a9c3f",
            wire_name="ClusterIds",
            location=Location.QUERY,
            most=MOST_CLUSTERS,
        ),
    ] = None
    force: Annotated[
        bool,
        Member(
            "Whether to clean without looking at the access records of the last 7 days.",
            example="true",
            wire_name="Force",
            location=Location.QUERY,
        ),
    ] = False
    dry_run: Annotated[bool, DRY_RUN] = False
    compromised: Annotated[bool, COMPROMISED] = False
    allow_last_admin: Annotated[bool, ALLOW_LAST_ADMIN] = False


class CleanUserPermissionsOutput(Shape):
    """The task that was begun, or a rehearsal."""

    task_id: Annotated[
        str,
        Member(
            "The ID of the task, for DescribeTaskInfo; empty for a rehearsal.",
            example="clean-user-permissions-200000000000000001-66b1a7c2e5d2a9c3",
        ),
    ]
    request_id: Annotated[str, Member("The ID of the request.", example="E78A2E2D-6E2D-4F0E-9A63-94DB1F8A5F11")] = ""
    rehearsal: Annotated[Rehearsal | UnsetType, REHEARSAL] = UNSET


CLEAN_USER_PERMISSIONS = Operation(
    name="CleanUserPermissions",
    method="DELETE",
    path="/users/{Uid}/permissions",
    summary="Remove a user's kubeconfigs and permissions in several clusters.",
    description="Begins a task with one result for each cluster and answers its ID. The same call of the same caller "
    "answers the same ID while the task runs. Whether the caller may is decided for each cluster when the call is "
    "taken, and again when its turn comes. Each cluster is cleaned as CleanClusterUserPermissions does it.",
    action_names=("cs:CleanUserPermissions",),
    access_level=AccessLevel.NONE,
    resource=ALL_RESOURCES,
    effects=frozenset({Effect.REMOVES}),
    input=CleanUserPermissionsInput,
    output=CleanUserPermissionsOutput,
    errors=(ClusterNotFound, UserNotFound, AuditNotReadable, CleanForbidden, LastAdmin),
    associated=("cs:CleanClusterUserPermissions",),
    changes=(
        Change("2026-11-24", "DryRun, and rehearsal in its answer."),
        Change("2026-11-24", "Compromised."),
        Change("2026-11-24", "AllowLastAdmin."),
    ),
)


class DescribeTaskInfoInput(Shape):
    """Which task."""

    task_id: Annotated[
        str,
        Member(
            "The ID of the task.",
            example="clean-user-permissions-200000000000000001-66b1a7c2e5d2a9c3",
            location=Location.PATH,
        ),
    ]


class TaskTarget(Shape):
    """What a task is about."""

    id: Annotated[str, Member("The ID of the user or role.", example="200000000000000001")]
    type: Annotated[str, Member("What it is.", example="user")]


class TaskResult(Shape):
    """What became of a task in one cluster."""

    data: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e")]
    status: Annotated[str, Member("What became of it.", example="success", values=RESULT_STATES)]


class TaskError(Shape):
    """Why a task failed."""

    code: Annotated[str, Member("The code of the first failure; empty where none failed.", example="ErrorClusterState")]
    message: Annotated[str, Member("What failed; empty where nothing did.")]


class TaskEvent(Shape):
    """One thing that happened in a task."""

    action: Annotated[str, Member("What was done.", example="clean")]
    level: Annotated[str, Member("How grave it is: info or error.", example="error")]
    message: Annotated[str, Member("What happened, in a sentence.")]
    reason: Annotated[str, Member("The error's code; empty for none.", example="ErrorClusterState")]
    source: Annotated[str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e")]
    timestamp: Annotated[str, Member("When (RFC 3339, UTC).", example="2026-11-24T03:00:42Z")]


class DescribeTaskInfoOutput(Shape):
    """One task."""

    task_id: Annotated[str, Member("The ID of the task.")]
    task_type: Annotated[str, Member("What it does.", example=CLEAN_TASK)]
    state: Annotated[str, Member("How far it is.", example="success", values=TASK_STATES)]
    created: Annotated[str, Member("When it was begun (RFC 3339, UTC).", example="2026-11-24T03:00:42Z")]
    updated: Annotated[str, Member("When it last went on (RFC 3339, UTC).", example="2026-11-24T03:00:43Z")]
    parameters: Annotated[dict[str, str], Member("The parameters of the call that began it.")]
    target: Annotated[TaskTarget, Member("Whom it is about.")]
    task_result: Annotated[list[TaskResult], Member("One result for each cluster, in the order of registration.")]
    error: Annotated[TaskError, Member("The first failure.")]
    events: Annotated[list[TaskEvent], Member("What happened in each cluster, in the order of registration.")]
    cluster_id: Annotated[str, Member("The cluster, where there is one only; else empty.")] = ""
    current_stage: Annotated[str, Member("The stage that it is in: it has one only.", example="clean")] = "clean"


DESCRIBE_TASK_INFO = Operation(
    name="DescribeTaskInfo",
    method="GET",
    path="/tasks/{task_id}",
    summary="Query how far a task is.",
    description="The state of the task, with a result for each of its clusters.",
    action_names=("cs:DescribeTaskInfo",),
    access_level=AccessLevel.READ,
    resource=ALL_RESOURCES,
    effects=frozenset({Effect.READS}),
    input=DescribeTaskInfoInput,
    output=DescribeTaskInfoOutput,
    errors=(TaskNotFound,),
    absent=("outputs", "stages"),
)


class DescribeClusterTasksInput(Shape):
    """Of which cluster, and which page."""

    cluster_id: Annotated[
        str, Member("The cluster ID.", example="c5b5e80b0b64a4bf6939d2d8fbbc51a7e", location=Location.PATH)
    ]
    page_number: Annotated[
        int, Member("The page number.", example="1", location=Location.QUERY, minimum=1, maximum=LARGEST_INTEGER)
    ] = 1
    page_size: Annotated[
        int,
        Member("The number of entries per page.", example="50", location=Location.QUERY, minimum=1, maximum=100),
    ] = 50
    max_results: Annotated[
        int | None,
        Member(
            "As page_size, for who goes on by next_token.",
            example="50",
            location=Location.QUERY,
            minimum=1,
            maximum=100,
        ),
    ] = None
    next_token: Annotated[
        str, Member("Where to go on: next_token of the answer before.", example="2", location=Location.QUERY, most=20)
    ] = ""


class ClusterTask(Shape):
    """One task that has to do with the cluster."""

    task_id: Annotated[str, Member("The ID of the task.")]
    task_type: Annotated[str, Member("What it does.", example=CLEAN_TASK)]
    state: Annotated[str, Member("How far it is.", example="success", values=TASK_STATES)]
    created: Annotated[str, Member("When it was begun (RFC 3339, UTC).", example="2026-11-24T03:00:42Z")]
    updated: Annotated[str, Member("When it last went on (RFC 3339, UTC).", example="2026-11-24T03:00:43Z")]
    error: Annotated[TaskError, Member("What failed in this cluster.")]


class DescribeClusterTasksOutput(Shape, rename={"request_id": "requestId"}):
    """One page of tasks. The request's ID is camelCase here, as the provider has it."""

    tasks: Annotated[list[ClusterTask], Member("The tasks, the newest first.")]
    page_info: Annotated[PageInfo, Member("The pagination information.")]
    next_token: Annotated[str | UnsetType, Member("Where to go on; absent on the last page.", example="2")] = UNSET
    request_id: Annotated[str, Member("The ID of the request.", example="E78A2E2D-6E2D-4F0E-9A63-94DB1F8A5F11")] = ""


DESCRIBE_CLUSTER_TASKS = Operation(
    name="DescribeClusterTasks",
    method="GET",
    path="/clusters/{cluster_id}/tasks",
    summary="Query the tasks that have to do with a cluster.",
    description="The newest first.",
    action_names=("cs:DescribeClusterTasks",),
    access_level=AccessLevel.READ,
    resource=ALL_RESOURCES,
    effects=frozenset({Effect.READS}),
    input=DescribeClusterTasksInput,
    output=DescribeClusterTasksOutput,
    errors=(ClusterNotFound,),
)


class ActivityStateInput(Shape):
    """Whose activity in which cluster."""

    cluster_id: Annotated[str, CLUSTER_ID]
    uid: Annotated[
        str, Member("The ID of the RAM user or RAM role.", example="200000000000000001", location=Location.PATH)
    ]


class ActivityStateOutput(Shape):
    """Whether a person used their kubeconfig in the last 7 days."""

    active: Annotated[bool, Member("Whether an access record was found.", example="false")]
    last_activity: Annotated[str, Member("When the newest one was made (RFC 3339, UTC); empty for none.")]
    last_audit_id: Annotated[str, Member("The ID of that record; empty for none.")]
    log_project_name: Annotated[str, Member("Where the records lie.")]
    log_store_name: Annotated[str, Member("Where the records lie in there.")]
    log_query_exp: Annotated[str, Member("What was searched for.")]


DESCRIBE_ACTIVITY_STATE = Operation(
    name="DescribeUserClusterActivityState",
    method="GET",
    path="/clusters/{ClusterId}/users/{uid}/activity-state",
    summary="Query whether a user used their kubeconfig of a cluster in the last 7 days.",
    description="Read from the API server's audit records. Until those are connected the answer is an error.",
    action_names=("cs:DescribeUserClusterActivityState", "cs:CheckUserClustersActivity"),
    access_level=AccessLevel.READ,
    resource=ONE_CLUSTER,
    effects=frozenset({Effect.READS}),
    input=ActivityStateInput,
    output=ActivityStateOutput,
    errors=(ClusterNotFound, UserNotFound, AuditNotReadable),
    undocumented=True,
)

TASK_OPERATIONS = (CLEAN_USER_PERMISSIONS, DESCRIBE_TASK_INFO, DESCRIBE_CLUSTER_TASKS, DESCRIBE_ACTIVITY_STATE)
