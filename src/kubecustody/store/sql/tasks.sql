-- Calls over several clusters: what was asked, by whom, and what became of it in each cluster.

-- name: add_task(account_id, task_id, task_type, uid, caller_uid, request, request_id, access_key_id, session, source_address, secure_transport, created_at)
INSERT INTO tasks (account_id, task_id, task_type, uid, caller_uid, request, request_id, access_key_id, session,
    source_address, secure_transport, state, created_at, updated_at)
VALUES (:account_id, :task_id, :task_type, :uid, :caller_uid, :request, :request_id, :access_key_id, :session,
    :source_address, :secure_transport, 'running', :created_at, :created_at);

-- name: add_task_result(account_id, task_id, cluster_seq, cluster_id, status, message, code, finished_at)
INSERT INTO task_results (account_id, task_id, cluster_seq, cluster_id, status, message, code, finished_at)
VALUES (:account_id, :task_id, :cluster_seq, :cluster_id, :status, :message, :code, :finished_at);

-- name: find_running_task(account_id, request)
SELECT task_id FROM tasks WHERE account_id = :account_id AND request = :request AND state = 'running';

-- name: find_task(account_id, task_id)
SELECT task_id, task_type, uid, caller_uid, request, request_id, access_key_id, session, source_address,
    secure_transport, state, created_at, updated_at
FROM tasks WHERE account_id = :account_id AND task_id = :task_id;

-- name: list_task_results(account_id, task_id)
SELECT cluster_seq, cluster_id, status, message, code, finished_at FROM task_results
WHERE account_id = :account_id AND task_id = :task_id ORDER BY cluster_seq;

-- name: list_tasks_of_cluster(account_id, cluster_seq, at_most, skipped)
SELECT t.task_id, t.task_type, t.state, t.created_at, t.updated_at, r.status, r.message, r.code
FROM task_results AS r JOIN tasks AS t ON t.account_id = r.account_id AND t.task_id = r.task_id
WHERE r.account_id = :account_id AND r.cluster_seq = :cluster_seq
ORDER BY t.created_at DESC, t.task_id LIMIT :at_most OFFSET :skipped;

-- name: count_tasks_of_cluster(account_id, cluster_seq)
SELECT COUNT(*) FROM task_results WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: list_running_tasks(account_id, at_most)
SELECT task_id FROM tasks WHERE account_id = :account_id AND state = 'running' LIMIT :at_most;

-- name: take_lease(name, holder, now, ends_at)
-- Of what nobody holds, or of what is the holder's already.
INSERT INTO leases (name, holder, ends_at) VALUES (:name, :holder, :ends_at)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, ends_at = excluded.ends_at
WHERE leases.ends_at <= :now OR leases.holder = excluded.holder;

-- name: drop_lease(name, holder)
DELETE FROM leases WHERE name = :name AND holder = :holder;

-- name: find_waiting_result(account_id, task_id)
SELECT cluster_seq, cluster_id FROM task_results
WHERE account_id = :account_id AND task_id = :task_id AND status = 'waiting' ORDER BY cluster_seq LIMIT 1;

-- name: set_task_result(account_id, task_id, cluster_seq, status, message, code, finished_at)
UPDATE task_results SET status = :status, message = :message, code = :code, finished_at = :finished_at
WHERE account_id = :account_id AND task_id = :task_id AND cluster_seq = :cluster_seq;

-- name: go_on_with_task(account_id, task_id, updated_at)
UPDATE tasks SET updated_at = :updated_at
WHERE account_id = :account_id AND task_id = :task_id;

-- name: end_task(account_id, task_id, state, updated_at)
UPDATE tasks SET state = :state, updated_at = :updated_at
WHERE account_id = :account_id AND task_id = :task_id AND state = 'running';

-- name: count_failed_results(account_id, task_id)
SELECT COUNT(*) FROM task_results WHERE account_id = :account_id AND task_id = :task_id AND status = 'failed';

-- name: list_clusters_of_person(account_id, uid, now)
-- Where a person holds something that may live, or is permitted something.
SELECT c.seq, c.cluster_id FROM credentials AS k
JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
WHERE k.account_id = :account_id AND k.uid = :uid AND k.removed_at IS NULL
    AND (k.not_after IS NULL OR k.not_after >= :now)
UNION
SELECT c.seq, c.cluster_id FROM grants AS g
JOIN clusters AS c ON c.account_id = g.account_id AND c.seq = g.cluster_seq
WHERE g.account_id = :account_id AND g.uid = :uid;
