"""Tasks: calls over several clusters, and what became of them in each."""

from typing import NamedTuple

from kubecustody.store.statements import statement
from kubecustody.store.transactions import Transaction


class Task(NamedTuple):
    """One task. request: what an equal call is recognised by; session: JSON, "" for a permanent key."""

    task_id: str
    task_type: str
    uid: str
    caller_uid: str
    request: str
    request_id: str
    access_key_id: str
    session: str
    source_address: str
    secure_transport: int
    state: str
    created_at: int
    updated_at: int


class Result(NamedTuple):
    """What became of a task in one cluster: status waiting, success or failed. code: "" where it did not fail."""

    cluster_seq: int
    cluster_id: str
    status: str
    message: str
    code: str
    finished_at: int | None


class TaskOfCluster(NamedTuple):
    """A task as one of its clusters sees it."""

    task_id: str
    task_type: str
    state: str
    created_at: int
    updated_at: int
    status: str
    message: str
    code: str


_ADD = statement("add_task")
_ADD_RESULT = statement("add_task_result")
_FIND_RUNNING = statement("find_running_task")
_FIND = statement("find_task")
_LIST_RESULTS = statement("list_task_results")
_LIST_OF_CLUSTER = statement("list_tasks_of_cluster")
_COUNT_OF_CLUSTER = statement("count_tasks_of_cluster")
_LIST_RUNNING = statement("list_running_tasks")
_TAKE_LEASE = statement("take_lease")
_DROP_LEASE = statement("drop_lease")
_FIND_WAITING = statement("find_waiting_result")
_SET_RESULT = statement("set_task_result")
_GO_ON = statement("go_on_with_task")
_END = statement("end_task")
_COUNT_FAILED = statement("count_failed_results")
_LIST_CLUSTERS_OF_PERSON = statement("list_clusters_of_person")


async def add_task(tx: Transaction, account_id: str, task: Task, results: list[Result]) -> None:
    """Record a task that is to run."""
    await tx.execute(_ADD, account_id, *task[:10], task.created_at)
    await tx.execute_many(_ADD_RESULT, [(account_id, task.task_id, *result) for result in results])


async def find_running_task(tx: Transaction, account_id: str, request: str) -> str | None:
    """The id of the running task that an equal call began."""
    row = await tx.fetch_one(_FIND_RUNNING, account_id, request)
    return None if row is None else row[0]


async def find_task(tx: Transaction, account_id: str, task_id: str) -> Task | None:
    """The task of this id."""
    row = await tx.fetch_one(_FIND, account_id, task_id)
    return None if row is None else Task._make(row)


async def list_results(tx: Transaction, account_id: str, task_id: str) -> list[Result]:
    """What became of a task in each cluster, by the cluster's seq."""
    return [Result._make(row) for row in await tx.fetch_all(_LIST_RESULTS, account_id, task_id)]


async def list_tasks_of_cluster(
    tx: Transaction, account_id: str, cluster_seq: int, at_most: int, skipped: int
) -> list[TaskOfCluster]:
    """Tasks that have to do with a cluster, the newest first."""
    rows = await tx.fetch_all(_LIST_OF_CLUSTER, account_id, cluster_seq, at_most, skipped)
    return [TaskOfCluster._make(row) for row in rows]


async def count_tasks_of_cluster(tx: Transaction, account_id: str, cluster_seq: int) -> int:
    """How many tasks have to do with a cluster."""
    row = await tx.fetch_one(_COUNT_OF_CLUSTER, account_id, cluster_seq)
    return 0 if row is None else row[0]


async def list_running_tasks(tx: Transaction, account_id: str, at_most: int) -> list[str]:
    """Ids of running tasks."""
    return [row[0] for row in await tx.fetch_all(_LIST_RUNNING, account_id, at_most)]


async def take_lease(tx: Transaction, name: str, holder: str, now: int, ends_at: int) -> bool:
    """Whether the holder has the lease until then: nobody else had it at `now`."""
    return await tx.execute(_TAKE_LEASE, name, holder, now, ends_at) > 0


async def drop_lease(tx: Transaction, name: str, holder: str) -> None:
    """Give a lease back."""
    await tx.execute(_DROP_LEASE, name, holder)


async def find_waiting(tx: Transaction, account_id: str, task_id: str) -> tuple[int, str] | None:
    """Seq and id of the next cluster of a task."""
    row = await tx.fetch_one(_FIND_WAITING, account_id, task_id)
    return None if row is None else (row[0], row[1])


async def set_result(tx: Transaction, account_id: str, task_id: str, result: Result) -> None:
    """Record what became of a task in one cluster."""
    await tx.execute(_SET_RESULT, account_id, task_id, result.cluster_seq, *result[2:])
    await tx.execute(_GO_ON, account_id, task_id, result.finished_at or 0)


async def end_task(tx: Transaction, account_id: str, task_id: str, now: int) -> str:
    """End a task all of whose clusters had their turn; the state that it ends in."""
    row = await tx.fetch_one(_COUNT_FAILED, account_id, task_id)
    state = "fail" if row is not None and row[0] else "success"
    await tx.execute(_END, account_id, task_id, state, now)
    return state


async def list_clusters_of_person(tx: Transaction, account_id: str, uid: str, now: int) -> list[tuple[int, str]]:
    """Seq and id of every cluster in which the person holds something that may live, or is permitted something."""
    return sorted((row[0], row[1]) for row in await tx.fetch_all(_LIST_CLUSTERS_OF_PERSON, account_id, uid, now))
