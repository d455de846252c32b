-- phase: pre
-- oldest_program: 0.1.0
--
-- Times are unix seconds, except recorded_at_ms of events (milliseconds). account_id leads every key.
-- On PostgreSQL INTEGER reads as BIGINT, BLOB as BYTEA, and the table options fall away.

CREATE TABLE installation (
    installation_id TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    epoch INTEGER NOT NULL,              -- raised by a restore
    key_check BLOB NOT NULL              -- sealed by the key ring: tells a wrong master key at the start
) STRICT, WITHOUT ROWID;

CREATE TABLE installation_secrets (
    name TEXT NOT NULL PRIMARY KEY,      -- tls-root-key, later: audit-key
    sealed BLOB NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    ends_at INTEGER NOT NULL             -- by the database's clock
) STRICT, WITHOUT ROWID;

-- The account's row is the first lock of every change of its data: counters, versions, end of the event chain.
CREATE TABLE accounts (
    account_id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    region_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    closed_at INTEGER,
    cluster_count INTEGER NOT NULL,      -- listed clusters, deleted ones included until they are purged
    last_cluster_seq INTEGER NOT NULL,
    last_credential_no INTEGER NOT NULL,
    last_event_no INTEGER NOT NULL,
    last_seal_hash BLOB NOT NULL,        -- end of the hash chain over the events
    iam_version INTEGER NOT NULL,        -- raised by every change of principals, keys, groups, policies
    data_version INTEGER NOT NULL        -- raised by every change that the list may show
) STRICT, WITHOUT ROWID;

-- Principals leave tombstones: a uid is never used again.
CREATE TABLE principals (
    account_id TEXT NOT NULL,
    uid TEXT NOT NULL,
    kind TEXT NOT NULL,                  -- account | user | role
    created_at INTEGER NOT NULL,
    disabled_at INTEGER,
    deleted_at INTEGER,
    PRIMARY KEY (account_id, uid)
) STRICT, WITHOUT ROWID;

-- Personal names, apart from everything else, so that they can be erased without touching events.
CREATE TABLE personal_names (
    account_id TEXT NOT NULL,
    uid TEXT NOT NULL,
    name TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    display_name TEXT NOT NULL,
    email_folded TEXT,
    PRIMARY KEY (account_id, uid)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX personal_names_by_name ON personal_names (account_id, name_folded);
CREATE UNIQUE INDEX personal_names_by_email ON personal_names (account_id, email_folded)
    WHERE email_folded IS NOT NULL;

CREATE TABLE principal_groups (
    account_id TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (account_id, name_folded)
) STRICT, WITHOUT ROWID;

CREATE TABLE group_members (
    account_id TEXT NOT NULL,
    uid TEXT NOT NULL,
    group_folded TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, uid, group_folded)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_group ON group_members (account_id, group_folded, uid);

CREATE TABLE policies (
    account_id TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    deleted_at INTEGER,
    PRIMARY KEY (account_id, name_folded)
) STRICT, WITHOUT ROWID;

CREATE TABLE policy_attachments (
    account_id TEXT NOT NULL,
    target_kind TEXT NOT NULL,           -- principal | group
    target TEXT NOT NULL,                -- uid | folded name of the group
    policy_type TEXT NOT NULL,           -- System | Custom
    policy_folded TEXT NOT NULL,
    attached_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, target_kind, target, policy_type, policy_folded)
) STRICT, WITHOUT ROWID;

-- The one way from a key id to its account; no secret in it.
CREATE TABLE access_key_directory (
    access_key_id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE access_keys (
    account_id TEXT NOT NULL,
    access_key_id TEXT NOT NULL,
    uid TEXT NOT NULL,
    sealed_secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    disabled_at INTEGER,
    deleted_at INTEGER,
    PRIMARY KEY (account_id, access_key_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX access_keys_by_uid ON access_keys (account_id, uid);

-- Clusters in the order of their registration; seq is never used again. A removed cluster stays listed as
-- deleted until it is purged, which moves its row to purged_clusters.
CREATE TABLE clusters (
    account_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    cluster_id TEXT NOT NULL,
    name TEXT NOT NULL,
    told_state TEXT NOT NULL,            -- what the operator says
    seen_state TEXT,                     -- what a probe saw; NULL before the first contact
    trust_epoch INTEGER NOT NULL,        -- of the newest row in trust_bundles; 0: no client CA is known
    deleted_at INTEGER,
    PRIMARY KEY (account_id, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX clusters_by_id ON clusters (account_id, cluster_id);
CREATE INDEX clusters_by_name ON clusters (account_id, name);

CREATE TABLE cluster_details (
    account_id TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    region_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    server_ca TEXT,                      -- PEM: to whom its API servers prove themselves
    manage_endpoint TEXT,
    public_endpoint TEXT,
    private_endpoint TEXT,
    tls_server_name TEXT,
    proxy_url TEXT,
    kube_system_uid TEXT,
    PRIMARY KEY (account_id, cluster_seq)
) STRICT, WITHOUT ROWID;

-- When probes came through, apart, so that a probe that sees no change touches nothing else.
CREATE TABLE cluster_observations (
    account_id TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    reachable INTEGER NOT NULL,
    observed_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, cluster_seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE purged_clusters (
    account_id TEXT NOT NULL,
    cluster_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    purged_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, cluster_id)
) STRICT, WITHOUT ROWID;

-- The counted tree: how many listed clusters lie under each node; idx = seq >> (6 * lvl), lvl 1..3.
CREATE TABLE nodes (
    account_id TEXT NOT NULL,
    lvl INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    cnt INTEGER NOT NULL,
    PRIMARY KEY (account_id, lvl, idx)
) STRICT, WITHOUT ROWID;

-- Every client CA bundle that a cluster ever trusted here; the newest epoch is the one in force.
CREATE TABLE trust_bundles (
    account_id TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    client_ca TEXT NOT NULL,             -- PEM
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, cluster_seq, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE signers (
    account_id TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    signer_no INTEGER NOT NULL,
    kind TEXT NOT NULL,                  -- ca | csr | none
    certificate TEXT,                    -- PEM, for kind ca
    sealed_key BLOB,
    from_at INTEGER NOT NULL,
    to_at INTEGER,
    PRIMARY KEY (account_id, cluster_seq, signer_no)
) STRICT, WITHOUT ROWID;

-- One issued client certificate (or the record of one): the narrow facts that decide states and reports.
CREATE TABLE credentials (
    account_id TEXT NOT NULL,
    credential_no INTEGER NOT NULL,
    uid TEXT NOT NULL,                   -- '' : nobody's as far as is known (unmatched import)
    cluster_seq INTEGER NOT NULL,
    origin TEXT NOT NULL,                -- imported | issued | recorded
    signer_no INTEGER,
    fingerprint BLOB,                    -- SHA-256 of the DER certificate; NULL: record without certificate
    cn TEXT NOT NULL,
    issued_at INTEGER NOT NULL,          -- of imports: not_before
    not_before INTEGER NOT NULL,
    not_after INTEGER,
    vouched_until INTEGER,
    trust_epoch INTEGER NOT NULL,        -- the verdict was made against this bundle
    verdict TEXT NOT NULL,
    masters INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    removal_requested_at INTEGER,        -- newest of removals, can be rebuilt from them
    removed_at INTEGER,
    removed_by TEXT,
    PRIMARY KEY (account_id, credential_no)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX credentials_by_fingerprint ON credentials (account_id, fingerprint, cluster_seq)
    WHERE fingerprint IS NOT NULL;
CREATE UNIQUE INDEX credentials_by_cn ON credentials (account_id, cluster_seq, cn) WHERE origin = 'issued';
CREATE INDEX credentials_by_holder ON credentials (account_id, uid, cluster_seq, not_after);
CREATE INDEX credentials_by_age ON credentials (account_id, uid, cluster_seq, issued_at);
CREATE INDEX credentials_by_cluster ON credentials (account_id, cluster_seq, credential_no);

CREATE TABLE certificates (
    account_id TEXT NOT NULL,
    credential_no INTEGER NOT NULL,
    chain BLOB NOT NULL,                 -- DER, leaf first, then the intermediates that came with it
    serial TEXT NOT NULL,                -- lower-case hex
    organizations TEXT NOT NULL,         -- JSON array
    PRIMARY KEY (account_id, credential_no)
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_by_serial ON certificates (account_id, serial);

CREATE TABLE private_keys (
    account_id TEXT NOT NULL,
    credential_no INTEGER NOT NULL,
    sealed BLOB,                         -- NULL once destroyed
    stored_at INTEGER NOT NULL,
    destroyed_at INTEGER,
    PRIMARY KEY (account_id, credential_no)
) STRICT, WITHOUT ROWID;

-- Removal, its withdrawal, restore and purge: append only, with their evidence.
CREATE TABLE removals (
    account_id TEXT NOT NULL,
    credential_no INTEGER NOT NULL,
    removal_no INTEGER NOT NULL,
    kind TEXT NOT NULL,                  -- requested | attested | proved | withdrawn | lapsed | restored | purged
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,              -- JSON
    occurred_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, credential_no, removal_no)
) STRICT, WITHOUT ROWID;

-- What one person's credentials in one cluster add up to; the list reads nothing else of them.
CREATE TABLE holdings (
    account_id TEXT NOT NULL,
    uid TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    vouched_until INTEGER,
    unvouched_until INTEGER,
    unvouched_open INTEGER NOT NULL,
    newest_removed_at INTEGER,
    newest_not_after INTEGER,
    trust_epoch INTEGER NOT NULL,
    PRIMARY KEY (account_id, uid, cluster_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX holdings_by_cluster ON holdings (account_id, cluster_seq, uid);

-- Everything that happened: append only, written in the transaction of the change, numbered in commit order.
-- Subjects hold ids, never personal names.
CREATE TABLE events (
    account_id TEXT NOT NULL,
    event_no INTEGER NOT NULL,
    recorded_at_ms INTEGER NOT NULL,
    occurred_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    request_id TEXT NOT NULL,
    uid TEXT NOT NULL,                   -- whom it is about; '' : nobody
    cluster_seq INTEGER NOT NULL,        -- 0: no cluster
    subject TEXT NOT NULL,               -- credential/<fingerprint>, policy/<name>, access-key/<id>, ... or ''
    reason TEXT NOT NULL,
    details TEXT NOT NULL,               -- JSON object
    PRIMARY KEY (account_id, event_no)
) STRICT, WITHOUT ROWID;

-- The hash chain: one seal for the events of one transaction.
CREATE TABLE event_seals (
    account_id TEXT NOT NULL,
    last_event_no INTEGER NOT NULL,
    first_event_no INTEGER NOT NULL,
    hash BLOB NOT NULL,                  -- SHA-256 over the previous seal's hash and the events' canonical form
    PRIMARY KEY (account_id, last_event_no)
) STRICT, WITHOUT ROWID;
