-- phase: pre
-- oldest_program: 0.1.0
--
-- Tasks that a worker takes over from another, sessions of roles, keys that never leave their holder.

-- Sessions that were minted before this moment are refused; NULL: none was ended.
ALTER TABLE principals ADD COLUMN sessions_from INTEGER;

ALTER TABLE credentials ADD COLUMN holders_key INTEGER NOT NULL DEFAULT 0;  -- 1: the holder made the key

-- As whom and from where a task was asked for. Who works on it stands in leases.
ALTER TABLE tasks ADD COLUMN access_key_id TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN session TEXT NOT NULL DEFAULT '';              -- JSON: name and policy; '' : none
ALTER TABLE tasks ADD COLUMN source_address TEXT NOT NULL DEFAULT '';
ALTER TABLE tasks ADD COLUMN secure_transport INTEGER NOT NULL DEFAULT 0;

ALTER TABLE task_results ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE task_results ADD COLUMN finished_at INTEGER;

CREATE INDEX cluster_details_by_region ON cluster_details (account_id, region_id, cluster_seq);
