-- phase: pre
-- oldest_program: 0.1.0
--
-- What issuing, cleaning and their tasks need.

ALTER TABLE credentials ADD COLUMN temporary_minutes INTEGER;      -- NULL: long-lived, or not of our making
ALTER TABLE cluster_details ADD COLUMN attest_on_clean INTEGER NOT NULL DEFAULT 0;
ALTER TABLE principals ADD COLUMN delegated_admin INTEGER NOT NULL DEFAULT 0;

-- Validity that the account set for one person in one cluster (UpdateK8sClusterUserConfigExpire).
CREATE TABLE custom_validities (
    account_id TEXT NOT NULL,
    uid TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    hours INTEGER NOT NULL,
    after_credential_no INTEGER NOT NULL,    -- what was issued up to this number has the validity from before
    PRIMARY KEY (account_id, uid, cluster_seq)
) STRICT, WITHOUT ROWID;

-- Calls over several clusters. request: what a second equal call is recognised by.
CREATE TABLE tasks (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    task_type TEXT NOT NULL,
    uid TEXT NOT NULL,
    caller_uid TEXT NOT NULL,
    request TEXT NOT NULL,
    request_id TEXT NOT NULL,
    state TEXT NOT NULL,                 -- running | fail | success
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, task_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_running ON tasks (account_id, request) WHERE state = 'running';

CREATE TABLE task_results (
    account_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    cluster_id TEXT NOT NULL,
    status TEXT NOT NULL,                -- waiting | success | failed
    message TEXT NOT NULL,
    PRIMARY KEY (account_id, task_id, cluster_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_results_by_cluster ON task_results (account_id, cluster_seq, task_id);
