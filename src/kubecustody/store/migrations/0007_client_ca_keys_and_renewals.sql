-- phase: pre
-- oldest_program: 0.1.0
--

-- The keys of the client CAs that each cluster is known to trust: SHA-256 of the SubjectPublicKeyInfo, since a CA
-- certificate that was issued anew for the same key lets the same credentials in. Of bundles that are in force already
-- they are found when the migration is applied (`migrations/filling.py`).
CREATE TABLE client_ca_keys (
    account_id TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    key_sha256 BLOB NOT NULL,
    PRIMARY KEY (account_id, cluster_seq, key_sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_ca_keys_by_key ON client_ca_keys (account_id, key_sha256, cluster_seq);

-- Since when our own access to a cluster cannot be renewed, and why.
ALTER TABLE cluster_accesses ADD COLUMN renewal_failed_at INTEGER;
ALTER TABLE cluster_accesses ADD COLUMN renewal_fault TEXT;

-- By how much a cluster's clock was ahead of this server's when it last answered; NULL where it did not say.
ALTER TABLE cluster_observations ADD COLUMN clock_skew_seconds INTEGER;
