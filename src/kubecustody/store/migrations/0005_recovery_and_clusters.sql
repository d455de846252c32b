-- phase: pre
-- oldest_program: 0.1.0
--

-- A restored store: what was signed before restored_at is refused, and until quarantined is 0 again nothing is issued,
-- granted or written to clusters.
ALTER TABLE installation ADD COLUMN restored_at INTEGER;
ALTER TABLE installation ADD COLUMN backup_made_at INTEGER;
ALTER TABLE installation ADD COLUMN quarantined INTEGER NOT NULL DEFAULT 0;
