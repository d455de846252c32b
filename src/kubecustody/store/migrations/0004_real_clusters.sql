-- phase: pre
-- oldest_program: 0.1.0
--
-- Clusters that are reached: how, as whom, what may be written there, and what people are permitted in them.

-- none: records only; observe: looked at, never written to; manage: kept as it is wanted here.
ALTER TABLE cluster_details ADD COLUMN mode TEXT NOT NULL DEFAULT 'none';
ALTER TABLE cluster_details ADD COLUMN declared_api_servers INTEGER;   -- NULL: as many as the cluster itself says
ALTER TABLE cluster_details ADD COLUMN kubernetes_version TEXT;
ALTER TABLE cluster_details ADD COLUMN plan_hash TEXT;                 -- of the plan that managing was begun with

-- Our own access to a cluster. sealed: JSON with the token, or certificate and key.
CREATE TABLE cluster_accesses (
    account_id TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    kind TEXT NOT NULL,                  -- token | certificate
    sealed BLOB NOT NULL,
    expires_at INTEGER,                  -- NULL: no end known
    recorded_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, cluster_seq)
) STRICT, WITHOUT ROWID;

-- What a person is permitted: the person's, whatever credentials they hold. cluster_seq 0: every cluster.
CREATE TABLE grants (
    account_id TEXT NOT NULL,
    uid TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    namespace TEXT NOT NULL,             -- '' : the whole cluster
    role_name TEXT NOT NULL,             -- admin | admin-view | ops | dev | restricted, or the name of a ClusterRole
    is_custom INTEGER NOT NULL,
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, uid, cluster_seq, namespace, role_name, is_custom)
) STRICT, WITHOUT ROWID;
CREATE INDEX grants_by_cluster ON grants (account_id, cluster_seq, uid);

-- Grants that were taken away: that a binding of one goes is no drift. The newest time of each.
CREATE TABLE dropped_grants (
    account_id TEXT NOT NULL,
    uid TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    role_name TEXT NOT NULL,
    is_custom INTEGER NOT NULL,
    dropped_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, uid, cluster_seq, namespace, role_name, is_custom)
) STRICT, WITHOUT ROWID;
CREATE INDEX dropped_grants_by_cluster ON dropped_grants (account_id, cluster_seq, uid);

-- An issue through a cluster that was begun and whose end is not known yet.
CREATE TABLE pending_issues (
    account_id TEXT NOT NULL,
    cluster_seq INTEGER NOT NULL,
    cn TEXT NOT NULL,
    uid TEXT NOT NULL,
    signer_no INTEGER NOT NULL,
    csr TEXT NOT NULL,                   -- PEM
    sealed_key BLOB NOT NULL,
    life_seconds INTEGER NOT NULL,
    temporary_minutes INTEGER,
    begun_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, cluster_seq, cn)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_issues_by_cluster ON pending_issues (account_id, cluster_seq, uid);

-- The newest evidence of each kind that a credential is powerless, or is not, by API server.
CREATE TABLE evidence (
    account_id TEXT NOT NULL,
    credential_no INTEGER NOT NULL,
    kind TEXT NOT NULL,                  -- binding_scan | access_review | used | ca_gone
    api_server TEXT NOT NULL,            -- '' : the cluster's address
    outcome TEXT NOT NULL,               -- refused | allowed | unproven
    told TEXT NOT NULL,                  -- what was answered, in our words
    observed_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, credential_no, kind, api_server)
) STRICT, WITHOUT ROWID;

CREATE INDEX cluster_details_by_identity ON cluster_details (account_id, kube_system_uid) WHERE kube_system_uid IS NOT NULL;
