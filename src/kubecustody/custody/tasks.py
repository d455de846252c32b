"""Tasks: CleanUserPermissions over many clusters, begun by a call and carried on by any worker.

A call is taken with one line for each cluster. Whether the caller may is decided for each then, and again when its turn
comes: a key, a user or a policy may have gone meanwhile. Each cluster is one transaction, so a worker that is killed
leaves whole lines, and another takes over when its lease ends.
"""

import json
from typing import NamedTuple

from kubecustody.catalogue.clusters import PageInfo
from kubecustody.catalogue.errors import INTERNAL_ERROR, describe_error
from kubecustody.catalogue.kubeconfigs import CLEAN_CLUSTER_USER_PERMISSIONS
from kubecustody.catalogue.model import LARGEST_INTEGER, ONE_CLUSTER
from kubecustody.catalogue.rehearsing import Rehearsal, RehearsedPermission, RehearsedRefusal
from kubecustody.catalogue.tasks import (
    CLEAN_TASK,
    CLEAN_USER_PERMISSIONS,
    ActivityStateInput,
    ActivityStateOutput,
    CleanUserPermissionsInput,
    CleanUserPermissionsOutput,
    ClusterTask,
    DescribeClusterTasksInput,
    DescribeClusterTasksOutput,
    DescribeTaskInfoInput,
    DescribeTaskInfoOutput,
    TaskError,
    TaskEvent,
    TaskResult,
    TaskTarget,
)
from kubecustody.core.errors import (
    AuditNotReadable,
    ClusterNotFound,
    ClusterStateForbids,
    Fault,
    ParametersRefused,
    RequestError,
    ServiceUnavailable,
    TaskNotFound,
    UserNotFound,
)
from kubecustody.core.names import PrincipalKind
from kubecustody.core.paging import PageRequest
from kubecustody.core.times import format_time
from kubecustody.custody.authentication import Caller, Origin, confirm
from kubecustody.custody.authorisation import Request, decide, denial
from kubecustody.custody.changes import Author, Change, change_within
from kubecustody.custody.cleaning import check_admin_stays, check_cleanable, check_may_be_cleaned, clean, drop_grants_in
from kubecustody.custody.installation import Custody
from kubecustody.custody.issuing import get_cluster
from kubecustody.custody.rehearsing import join, rehearse, why_not_written
from kubecustody.custody.session_tokens import Session
from kubecustody.store import tasks as stored
from kubecustody.store.callers import find_key_holder, find_session_holder
from kubecustody.store.clusters import find_cluster, find_cluster_by_seq
from kubecustody.store.grants import EVERY_CLUSTER_SEQ, list_grants_of
from kubecustody.store.installation import list_accounts
from kubecustody.store.principals import find_principal
from kubecustody.store.tasks import Result, Task, TaskOfCluster
from kubecustody.store.transactions import Transaction

LEASE_SECONDS = 30
_LOOKED_AT = 100

# One operation over many clusters must not pass what stands against the same act in one of them.
CLEAN_IN_ONE = CLEAN_USER_PERMISSIONS.folded_actions | CLEAN_CLUSTER_USER_PERMISSIONS.folded_actions


async def clean_user_permissions(
    custody: Custody, unit: Change, caller: Caller, request: CleanUserPermissionsInput
) -> CleanUserPermissionsOutput:
    """Begin a task, or name the running one of an equal call; or tell what would happen.

    Raises UserNotFound, CleanForbidden, ClusterNotFound, AccessDenied where no cluster is left, AuditNotReadable,
    LastAdmin.
    """
    await check_may_be_cleaned(unit.tx, unit.account_id, caller, request.uid)
    wanted = None if request.cluster_ids is None else sorted(set(request.cluster_ids))
    who = caller.uid if caller.session is None else caller.access_key_id  # a session may do less than its role
    equal = json.dumps([CLEAN_TASK, who, request.uid, wanted, request.force, request.compromised])
    running = await stored.find_running_task(unit.tx, unit.account_id, equal)
    if running is not None and not request.dry_run:
        return CleanUserPermissionsOutput(running)
    results = await _first_results(unit, caller, await _clusters(unit, caller, request))
    if results and not request.force:
        raise AuditNotReadable(results[0].cluster_id)
    if not request.allow_last_admin:
        everywhere = {EVERY_CLUSTER_SEQ} if request.cluster_ids is None else set[int]()
        cleaned = everywhere | {one.cluster_seq for one in results if one.status == "waiting"}
        await check_admin_stays(unit.tx, unit.account_id, request.uid, cleaned)
    if request.dry_run:
        return CleanUserPermissionsOutput("", rehearsal=await _rehearse(unit, request, results))
    if request.cluster_ids is None:
        await drop_grants_in(unit, EVERY_CLUSTER_SEQ, request.uid)
    task = Task(
        task_id=f"{CLEAN_TASK}-{request.uid}-{custody.random_bytes(8).hex()}",
        task_type=CLEAN_TASK,
        uid=request.uid,
        caller_uid=caller.uid,
        request=equal,
        request_id=unit.author.request_id,
        access_key_id=caller.access_key_id,
        session="" if caller.session is None else json.dumps([caller.session.name, caller.session.policy]),
        source_address=caller.origin.address,
        secure_transport=int(caller.origin.secure),
        state="running",
        created_at=unit.at,
        updated_at=unit.at,
    )
    await stored.add_task(unit.tx, unit.account_id, task, results)
    unit.record("task_begun", uid=request.uid, subject=f"task/{task.task_id}", details={"clusters": len(results)})
    return CleanUserPermissionsOutput(task.task_id)


async def _rehearse(unit: Change, request: CleanUserPermissionsInput, results: list[Result]) -> Rehearsal:
    """What would be done before the task begins, and by it in each of its clusters."""
    everywhere = []
    if request.cluster_ids is None:
        everywhere = [
            RehearsedPermission("", "", grant.namespace, grant.role_name)
            for grant in await list_grants_of(unit.tx, unit.account_id, request.uid)
            if grant.cluster_seq == EVERY_CLUSTER_SEQ
        ]
    return join([Rehearsal([], everywhere, []), *[await _rehearse_in(unit, request, one) for one in results]])


async def _rehearse_in(unit: Change, request: CleanUserPermissionsInput, one: Result) -> Rehearsal:
    if one.status == "failed":
        return Rehearsal([], [], [RehearsedRefusal(one.cluster_id, one.code, one.message)])
    cluster = await get_cluster(unit.tx, unit.account_id, one.cluster_id)
    try:
        check_cleanable(cluster, force=request.force)
    except ClusterStateForbids as error:
        told = describe_error(error)
        return Rehearsal([], [], [RehearsedRefusal(one.cluster_id, told.code, told.message)])
    return await rehearse(unit.tx, unit.account_id, cluster, request.uid, unit.now, cleans=True)


async def _clusters(unit: Change, caller: Caller, request: CleanUserPermissionsInput) -> list[tuple[int, str]]:
    """Seq and id of each cluster.

    Who may not clean in one that they named is not told whether it exists: it is a line like any other that is refused,
    under a number that no cluster has.
    """
    if request.cluster_ids is None:
        return await stored.list_clusters_of_person(unit.tx, unit.account_id, request.uid, unit.at)
    found = {}
    for number, cluster_id in enumerate(request.cluster_ids, 1):
        cluster = await find_cluster(unit.tx, unit.account_id, cluster_id)
        if cluster is None and await _judge(unit.tx, caller, cluster_id, unit.now) is None:
            raise ClusterNotFound(cluster_id)
        found[-number if cluster is None else cluster.seq] = cluster_id
    return sorted(found.items())


async def _first_results(unit: Change, caller: Caller, clusters: list[tuple[int, str]]) -> list[Result]:
    """A line for each cluster: those in which the caller may not clean fail at once. Raises where none is left."""
    results, refused = [], None
    for cluster_seq, cluster_id in clusters:
        refused = await _judge(unit.tx, caller, cluster_id, unit.now)
        if refused is None:
            results.append(Result(cluster_seq, cluster_id, "waiting", "", "", None))
        else:
            results.append(_failed(cluster_seq, cluster_id, refused, unit.at))
    if refused is not None and not any(one.status == "waiting" for one in results):
        raise refused
    return results


def _failed(cluster_seq: int, cluster_id: str, error: RequestError, at: int) -> Result:
    told = describe_error(error)
    return Result(cluster_seq, cluster_id, "failed", told.message, told.code, at)


async def _judge(tx: Transaction, caller: Caller, cluster_id: str, now: float) -> RequestError | None:
    """Why the caller may not clean in this cluster; None where they may."""
    if caller.kind == PrincipalKind.ACCOUNT:
        return None
    resource = ONE_CLUSTER.format(region_id=caller.region_id, account_id=caller.account_id, ClusterId=cluster_id)
    request = Request(CLEAN_USER_PERMISSIONS, resource, now, actions=CLEAN_IN_ONE)
    decision = await decide(tx, caller, request)
    return None if decision.allowed else denial(caller, request, decision)


# --- carrying on


class Due(NamedTuple):
    """A task that is this worker's for now."""

    account_id: str
    task_id: str
    worker: str

    @property
    def lease(self) -> str:
        """What the lease is called."""
        return f"task/{self.account_id}/{self.task_id}"


async def lease_due_task(custody: Custody, worker: str, now: float) -> Due | None:
    """A running task that nobody works on, now this worker's; None where there is none."""

    async def work(tx: Transaction) -> Due | None:
        for account in await list_accounts(tx):
            for task_id in await stored.list_running_tasks(tx, account.account_id, _LOOKED_AT):
                due = Due(account.account_id, task_id, worker)
                if await _hold(tx, due, now):
                    return due
        return None

    return await custody.store.write(work)


async def _hold(tx: Transaction, due: Due, now: float) -> bool:
    return await stored.take_lease(tx, due.lease, due.worker, int(now), int(now) + LEASE_SECONDS)


async def carry_on(custody: Custody, due: Due, now: float) -> bool:
    """Do the task in its next cluster, or end it; whether something is left for this worker."""

    async def work(tx: Transaction) -> bool:
        task = await stored.find_task(tx, due.account_id, due.task_id)
        if task is None or task.state != "running" or not await _hold(tx, due, now):
            return False
        waiting = await stored.find_waiting(tx, due.account_id, due.task_id)
        caller = await _caller_of(tx, due.account_id, task)
        author = Author(task.caller_uid if caller is None else caller.actor, task.request_id)

        async def step(unit: Change) -> bool:
            if waiting is None:
                state = await stored.end_task(tx, due.account_id, task.task_id, unit.at)
                unit.record("task_ended", uid=task.uid, subject=f"task/{task.task_id}", details={"state": state})
                await stored.drop_lease(tx, due.lease, due.worker)
                return False
            result = await _clean_one(unit, caller, task, *waiting)
            await stored.set_result(tx, due.account_id, task.task_id, result)
            return True

        return await change_within(tx, due.account_id, author, now, step)

    return await custody.store.write(work)


async def give_up_on_next(custody: Custody, due: Due, now: float) -> bool:
    """Let the task go on without its next cluster, in which it failed in a way that nobody foresaw.

    Whether there was one; where not, it is the end of the task that failed, or the task is another worker's.
    """

    async def work(tx: Transaction) -> bool:
        waiting = await stored.find_waiting(tx, due.account_id, due.task_id)
        if waiting is None or not await _hold(tx, due, now):
            return False
        result = Result(*waiting, "failed", INTERNAL_ERROR.message, INTERNAL_ERROR.code, int(now))
        await stored.set_result(tx, due.account_id, due.task_id, result)
        return True

    return await custody.store.write(work)


async def _clean_one(unit: Change, caller: Caller | None, task: Task, cluster_seq: int, cluster_id: str) -> Result:
    """Clean in one cluster. What refuses it becomes its line, and must have changed nothing before it refused."""
    try:
        if caller is None:
            raise UserNotFound(task.caller_uid)
        caller = await confirm(unit.tx, caller)
        refused = await _judge(unit.tx, caller, cluster_id, unit.now)
        if refused is not None:
            raise refused
        await check_may_be_cleaned(unit.tx, unit.account_id, caller, task.uid)
        cluster = await find_cluster_by_seq(unit.tx, unit.account_id, cluster_seq)
        if cluster is None:
            raise ClusterNotFound(cluster_id)
        count = await clean(unit, cluster, task.uid, force=_is_forced(task), compromised=is_compromised(task))
    except ServiceUnavailable:  # of the store: what was changed before it must not stay
        raise
    except RequestError as error:
        return _failed(cluster_seq, cluster_id, error, unit.at)
    text = "Nothing of theirs lives in it."
    if count:
        why = await why_not_written(unit.tx, unit.account_id, cluster.seq)
        text = f"The removal of {count} credential{'' if count == 1 else 's'} was asked for." + (
            f" Not removed: {why}" if why else ""
        )
    return Result(cluster_seq, cluster_id, "success", text, "", unit.at)


def _is_forced(task: Task) -> bool:
    return bool(json.loads(task.request)[4])


def is_compromised(task: Task) -> bool:
    """Whether the task removes because somebody else may have the keys."""
    return any(json.loads(task.request)[5:6])


async def _caller_of(tx: Transaction, account_id: str, task: Task) -> Caller | None:
    """Who asked for the task, to be confirmed; None where nothing is known of them any more."""
    session = None
    if task.session:
        name, policy = json.loads(task.session)
        session = Session(account_id, task.caller_uid, name, task.access_key_id, "", task.created_at, 0, policy)
    holder = (
        await find_key_holder(tx, task.access_key_id)
        if session is None
        else await find_session_holder(tx, account_id, task.caller_uid)
    )
    if holder is None:
        return None
    return Caller(
        account_id,
        task.caller_uid,
        holder.kind,
        task.access_key_id,
        holder.region_id,
        holder.iam_version,
        holder.cluster_count,
        holder.last_cluster_seq,
        bool(holder.delegated_admin),
        session,
        Origin(task.source_address, bool(task.secure_transport)),
    )


# --- looking at them


async def describe_task_info(
    tx: Transaction, caller: Caller, request: DescribeTaskInfoInput, _: float
) -> DescribeTaskInfoOutput:
    """How far a task is. Raises TaskNotFound."""
    task = await stored.find_task(tx, caller.account_id, request.task_id)
    if task is None:
        raise TaskNotFound(request.task_id)
    results = await stored.list_results(tx, caller.account_id, task.task_id)
    target = await find_principal(tx, caller.account_id, task.uid)
    failed = next((one for one in results if one.status == "failed"), None)
    _, _, _, cluster_ids, force, *_ = json.loads(task.request)
    return DescribeTaskInfoOutput(
        task_id=task.task_id,
        task_type=task.task_type,
        state=task.state,
        created=format_time(task.created_at),
        updated=format_time(task.updated_at),
        parameters={
            "Uid": task.uid,
            "ClusterIds": "" if cluster_ids is None else ",".join(cluster_ids),
            "Force": "true" if force else "false",
        },
        target=TaskTarget(task.uid, "" if target is None else target.kind),
        task_result=[TaskResult(one.cluster_id, one.status) for one in results],
        error=TaskError(failed.code, failed.message) if failed else TaskError("", ""),
        events=[_event(one) for one in results if one.finished_at is not None],
        cluster_id=results[0].cluster_id if len(results) == 1 else "",
    )


def _event(result: Result) -> TaskEvent:
    return TaskEvent(
        action="clean",
        level="error" if result.status == "failed" else "info",
        message=result.message,
        reason=result.code,
        source=result.cluster_id,
        timestamp=format_time(result.finished_at or 0),
    )


async def describe_cluster_tasks(
    tx: Transaction, caller: Caller, request: DescribeClusterTasksInput, _: float
) -> DescribeClusterTasksOutput:
    """One page of the tasks that have to do with a cluster. Raises ClusterNotFound."""
    cluster = await find_cluster(tx, caller.account_id, request.cluster_id)
    if cluster is None:
        raise ClusterNotFound(request.cluster_id)
    size = request.max_results or request.page_size
    page = PageRequest(_page_of_token(request) or request.page_number, size)
    count = await stored.count_tasks_of_cluster(tx, caller.account_id, cluster.seq)
    rows = await stored.list_tasks_of_cluster(tx, caller.account_id, cluster.seq, size, page.offset)
    answer = DescribeClusterTasksOutput([_cluster_task(row) for row in rows], PageInfo(page.number, size, count))
    if page.offset + size < count:
        answer.next_token = str(page.number + 1)
    return answer


def _page_of_token(request: DescribeClusterTasksInput) -> int | None:
    if not request.next_token:
        return None
    is_number = request.next_token.isascii() and request.next_token.isdecimal()
    if not (is_number and 1 <= int(request.next_token) <= LARGEST_INTEGER):
        raise ParametersRefused((Fault("next_token", "is none that an answer of this operation had."),))
    return int(request.next_token)


def _cluster_task(row: TaskOfCluster) -> ClusterTask:
    return ClusterTask(
        row.task_id,
        row.task_type,
        row.state,
        format_time(row.created_at),
        format_time(row.updated_at),
        TaskError(row.code, row.message) if row.status == "failed" else TaskError("", ""),
    )


async def describe_activity_state(
    tx: Transaction, caller: Caller, request: ActivityStateInput, _: float
) -> ActivityStateOutput:
    """Whether somebody used their kubeconfig lately. Raises UserNotFound, ClusterNotFound, AuditNotReadable."""
    if await find_principal(tx, caller.account_id, request.uid) is None:
        raise UserNotFound(request.uid)
    if await find_cluster(tx, caller.account_id, request.cluster_id) is None:
        raise ClusterNotFound(request.cluster_id)
    raise AuditNotReadable(request.cluster_id)
