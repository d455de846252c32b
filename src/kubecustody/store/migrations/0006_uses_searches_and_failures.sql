-- phase: pre
-- oldest_program: 0.1.0
--

-- When an access key last signed a request. Apart, so that a use touches nothing else.
CREATE TABLE access_key_uses (
    account_id TEXT NOT NULL,
    access_key_id TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, access_key_id)
) STRICT, WITHOUT ROWID;

-- Restoring what was removed: what was removed because somebody else may have its key never comes back.
ALTER TABLE credentials ADD COLUMN compromised_at INTEGER;
CREATE INDEX credentials_by_removal ON credentials (account_id, removal_requested_at)
    WHERE removal_requested_at IS NOT NULL;

-- Everything that happened to one credential, policy, access key.
CREATE INDEX events_by_subject ON events (account_id, subject, event_no) WHERE subject <> '';

-- Events by what lists of them are limited to.
CREATE INDEX events_by_uid ON events (account_id, uid, event_no) WHERE uid <> '';
CREATE INDEX events_by_cluster ON events (account_id, cluster_seq, event_no) WHERE cluster_seq <> 0;
CREATE INDEX events_by_kind ON events (account_id, kind, event_no);

-- The last failed requests of each account whose signature held, numbered in the order of their coming.
CREATE TABLE failed_requests (
    account_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    failed_at INTEGER NOT NULL,
    caller TEXT NOT NULL,
    operation TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (account_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX failed_requests_by_id ON failed_requests (account_id, request_id);
CREATE INDEX failed_requests_by_time ON failed_requests (account_id, failed_at);

-- When a cluster last answered a look; observed_at is when it was last looked at.
ALTER TABLE cluster_observations ADD COLUMN reached_at INTEGER;
-- What waits for its removal in a cluster.
CREATE INDEX credentials_by_waiting ON credentials (account_id, cluster_seq, removal_requested_at)
    WHERE removal_requested_at IS NOT NULL AND removed_at IS NULL;

-- Whether the account's events tell all that the past is derived from: those that an older program recorded do not.
ALTER TABLE accounts ADD COLUMN whole_history INTEGER NOT NULL DEFAULT 1;
UPDATE accounts SET whole_history = 0;
