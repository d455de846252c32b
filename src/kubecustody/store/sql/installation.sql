-- name: find_installation()
SELECT installation_id, created_at, epoch, key_check, restored_at, backup_made_at, quarantined FROM installation;

-- name: add_installation(installation_id, created_at, key_check)
INSERT INTO installation (installation_id, created_at, epoch, key_check) VALUES (:installation_id, :created_at, 1, :key_check);

-- name: end_quarantine()
UPDATE installation SET quarantined = 0;

-- name: count_live(account_id, now)
SELECT COUNT(*) FROM credentials
WHERE account_id = :account_id AND removed_at IS NULL AND (not_after IS NULL OR not_after >= :now);

-- name: find_last_event_before(account_id, recorded_at_ms)
SELECT MAX(event_no) FROM events WHERE account_id = :account_id AND recorded_at_ms < :recorded_at_ms;

-- name: set_key_check(key_check)
UPDATE installation SET key_check = :key_check;

-- name: find_installation_secret(name)
SELECT sealed, changed_at FROM installation_secrets WHERE name = :name;

-- name: set_installation_secret(name, sealed, changed_at)
INSERT INTO installation_secrets (name, sealed, changed_at) VALUES (:name, :sealed, :changed_at)
ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, changed_at = excluded.changed_at;

-- name: list_installation_secrets()
SELECT name, sealed, changed_at FROM installation_secrets ORDER BY name;

-- name: add_account(account_id, name, region_id, created_at, last_seal_hash)
INSERT INTO accounts (account_id, name, region_id, created_at, closed_at, cluster_count, last_cluster_seq,
    last_credential_no, last_event_no, last_seal_hash, iam_version, data_version)
VALUES (:account_id, :name, :region_id, :created_at, NULL, 0, 0, 0, 0, :last_seal_hash, 1, 1);

-- name: list_accounts()
SELECT account_id, name, region_id, created_at, cluster_count FROM accounts WHERE closed_at IS NULL ORDER BY account_id;

-- name: find_account(account_id)
SELECT account_id, name, region_id, created_at, cluster_count FROM accounts WHERE account_id = :account_id;

-- name: lock_account(account_id)
UPDATE accounts SET last_event_no = last_event_no WHERE account_id = :account_id
RETURNING last_event_no, last_seal_hash, last_cluster_seq, last_credential_no, iam_version;

-- name: finish_changes(account_id, last_event_no, last_seal_hash, last_credential_no, iam_version)
UPDATE accounts SET last_event_no = :last_event_no, last_seal_hash = :last_seal_hash,
    last_credential_no = :last_credential_no, iam_version = :iam_version, data_version = data_version + 1
WHERE account_id = :account_id;

-- name: add_event(account_id, event_no, recorded_at_ms, occurred_at, kind, actor, request_id, uid, cluster_seq, subject, reason, details)
INSERT INTO events (account_id, event_no, recorded_at_ms, occurred_at, kind, actor, request_id, uid, cluster_seq,
    subject, reason, details)
VALUES (:account_id, :event_no, :recorded_at_ms, :occurred_at, :kind, :actor, :request_id, :uid, :cluster_seq,
    :subject, :reason, :details);

-- name: add_event_seal(account_id, last_event_no, first_event_no, hash)
INSERT INTO event_seals (account_id, last_event_no, first_event_no, hash)
VALUES (:account_id, :last_event_no, :first_event_no, :hash);
