-- phase: pre
-- oldest_program: 0.1.0
--

-- A restored store: what was signed before restored_at is refused, and until quarantined is 0 again nothing is issued,
-- granted or written to clusters.
ALTER TABLE installation ADD COLUMN restored_at INTEGER;
ALTER TABLE installation ADD COLUMN backup_made_at INTEGER;
ALTER TABLE installation ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;

-- When an access key last signed a request. Apart, so that a use touches nothing else.
CREATE TABLE access_key_uses (
    account_id TEXT NOT NULL,
    access_key_id TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, access_key_id)
) STRICT, WITHOUT ROWID;

-- Everything that happened to one credential, policy, access key.
CREATE INDEX events_by_subject ON events (account_id, subject, event_no) WHERE subject <> '';
