-- Our own access to clusters, and what was seen through it.

-- name: set_cluster_access(account_id, cluster_seq, kind, sealed, expires_at, recorded_at)
INSERT INTO cluster_accesses (account_id, cluster_seq, kind, sealed, expires_at, recorded_at)
VALUES (:account_id, :cluster_seq, :kind, :sealed, :expires_at, :recorded_at)
ON CONFLICT (account_id, cluster_seq) DO UPDATE
SET kind = excluded.kind, sealed = excluded.sealed, expires_at = excluded.expires_at, recorded_at = excluded.recorded_at,
    renewal_failed_at = NULL, renewal_fault = NULL;

-- name: find_renewal_fault(account_id, cluster_seq)
SELECT renewal_fault FROM cluster_accesses WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: set_renewal_fault(account_id, cluster_seq, fault, at)
UPDATE cluster_accesses SET renewal_fault = :fault, renewal_failed_at = COALESCE(renewal_failed_at, :at)
WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: find_cluster_access(account_id, cluster_seq)
SELECT kind, sealed, expires_at FROM cluster_accesses WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: drop_cluster_access(account_id, cluster_seq)
DELETE FROM cluster_accesses WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: list_reached_clusters(account_id)
SELECT c.seq, c.cluster_id, c.name, d.mode FROM cluster_accesses AS a
JOIN clusters AS c ON c.account_id = a.account_id AND c.seq = a.cluster_seq
JOIN cluster_details AS d ON d.account_id = a.account_id AND d.cluster_seq = a.cluster_seq
WHERE a.account_id = :account_id AND c.deleted_at IS NULL ORDER BY c.seq;

-- name: list_sealed_accesses(account_id)
SELECT cluster_seq, sealed FROM cluster_accesses WHERE account_id = :account_id;

-- name: set_sealed_access(account_id, cluster_seq, sealed)
UPDATE cluster_accesses SET sealed = :sealed WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: find_reach(account_id, cluster_seq)
SELECT mode, declared_api_servers, kubernetes_version, kube_system_uid FROM cluster_details
WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: set_reach(account_id, cluster_seq, mode, declared_api_servers, kubernetes_version, kube_system_uid)
UPDATE cluster_details SET mode = :mode, declared_api_servers = :declared_api_servers,
    kubernetes_version = :kubernetes_version, kube_system_uid = :kube_system_uid
WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: find_cluster_by_kube_system(account_id, kube_system_uid)
SELECT c.cluster_id, c.name FROM cluster_details AS d
JOIN clusters AS c ON c.account_id = d.account_id AND c.seq = d.cluster_seq
WHERE d.account_id = :account_id AND d.kube_system_uid = :kube_system_uid AND c.deleted_at IS NULL LIMIT 1;

-- name: set_observation(account_id, cluster_seq, reachable, observed_at, reached_at, clock_skew_seconds)
-- Of a cluster that does not answer, the clock is as it last was.
INSERT INTO cluster_observations (account_id, cluster_seq, reachable, observed_at, reached_at, clock_skew_seconds)
VALUES (:account_id, :cluster_seq, :reachable, :observed_at, :reached_at, :clock_skew_seconds)
ON CONFLICT (account_id, cluster_seq) DO UPDATE SET reachable = excluded.reachable, observed_at = excluded.observed_at,
    reached_at = COALESCE(excluded.reached_at, cluster_observations.reached_at),
    clock_skew_seconds = CASE WHEN excluded.reachable = 1 THEN excluded.clock_skew_seconds
                              ELSE cluster_observations.clock_skew_seconds END;

-- name: set_seen_state(account_id, seq, seen_state)
UPDATE clusters SET seen_state = :seen_state WHERE account_id = :account_id AND seq = :seq;

-- name: list_current_names(account_id, cluster_seq, now)
-- The user names of credentials of our making that are alive and that nobody has asked to remove.
SELECT uid, cn FROM credentials
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND origin = 'issued' AND uid <> ''
    AND removed_at IS NULL AND removal_requested_at IS NULL AND not_after >= :now;

-- name: list_wanted_removals(account_id, cluster_seq, now)
-- Credentials that are to be powerless, proved or not, for as long as they would live.
SELECT k.credential_no, k.uid, k.cn, k.fingerprint, k.verdict, k.masters, k.removal_requested_at, k.removed_at,
       k.removed_by, c.chain, c.organizations, p.sealed
FROM credentials AS k
JOIN certificates AS c ON c.account_id = k.account_id AND c.credential_no = k.credential_no
LEFT JOIN private_keys AS p ON p.account_id = k.account_id AND p.credential_no = k.credential_no
WHERE k.account_id = :account_id AND k.cluster_seq = :cluster_seq AND k.removal_requested_at IS NOT NULL
    AND (k.not_after IS NULL OR k.not_after >= :now)
ORDER BY k.credential_no;

-- name: find_provable(account_id, credential_no)
-- One credential, as list_wanted_removals has it, whether it is to be removed or not.
SELECT k.credential_no, k.uid, k.cn, k.fingerprint, k.verdict, k.masters, COALESCE(k.removal_requested_at, 0),
       k.removed_at, k.removed_by, c.chain, c.organizations, p.sealed
FROM credentials AS k
JOIN certificates AS c ON c.account_id = k.account_id AND c.credential_no = k.credential_no
LEFT JOIN private_keys AS p ON p.account_id = k.account_id AND p.credential_no = k.credential_no
WHERE k.account_id = :account_id AND k.credential_no = :credential_no;

-- name: set_evidence(account_id, credential_no, kind, api_server, outcome, told, observed_at)
INSERT INTO evidence (account_id, credential_no, kind, api_server, outcome, told, observed_at)
VALUES (:account_id, :credential_no, :kind, :api_server, :outcome, :told, :observed_at)
ON CONFLICT (account_id, credential_no, kind, api_server) DO UPDATE
SET outcome = excluded.outcome, told = excluded.told, observed_at = excluded.observed_at;

-- name: list_evidence(account_id, credential_no)
SELECT kind, api_server, outcome, told, observed_at FROM evidence
WHERE account_id = :account_id AND credential_no = :credential_no ORDER BY kind, api_server;

-- name: find_credential_by_name(account_id, cluster_seq, cn)
SELECT credential_no FROM credentials
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND cn = :cn AND origin = 'issued';

-- name: list_allowed_reads(account_id, cluster_seq, now)
-- Credentials that may live, each with the request that a binding allowed it, where one is known.
SELECT k.cn, k.credential_no, e.told FROM credentials AS k
LEFT JOIN evidence AS e ON e.account_id = k.account_id AND e.credential_no = k.credential_no
    AND e.kind = 'allowed_read' AND e.api_server = ''
WHERE k.account_id = :account_id AND k.cluster_seq = :cluster_seq AND k.removed_at IS NULL
    AND (k.not_after IS NULL OR k.not_after >= :now);

-- name: list_client_cas(account_id)
-- What each cluster is known to trust.
SELECT c.seq, c.cluster_id, d.mode, t.client_ca FROM clusters AS c
JOIN cluster_details AS d ON d.account_id = c.account_id AND d.cluster_seq = c.seq
JOIN trust_bundles AS t ON t.account_id = c.account_id AND t.cluster_seq = c.seq AND t.epoch = c.trust_epoch
WHERE c.account_id = :account_id AND c.deleted_at IS NULL ORDER BY c.seq;
