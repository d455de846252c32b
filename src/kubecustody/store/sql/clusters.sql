-- name: take_cluster_seq(account_id)
UPDATE accounts SET last_cluster_seq = last_cluster_seq + 1, cluster_count = cluster_count + 1
WHERE account_id = :account_id;

-- name: forget_cluster_count(account_id)
UPDATE accounts SET cluster_count = cluster_count - 1 WHERE account_id = :account_id;

-- name: adjust_node(account_id, lvl, idx, change)
INSERT INTO nodes (account_id, lvl, idx, cnt) VALUES (:account_id, :lvl, :idx, :change)
ON CONFLICT (account_id, lvl, idx) DO UPDATE SET cnt = nodes.cnt + excluded.cnt;

-- name: add_cluster(account_id, seq, cluster_id, name, told_state)
INSERT INTO clusters (account_id, seq, cluster_id, name, told_state, seen_state, trust_epoch, deleted_at)
VALUES (:account_id, :seq, :cluster_id, :name, :told_state, NULL, 0, NULL);

-- name: add_cluster_details(account_id, cluster_seq, region_id, created_at, server_ca, manage_endpoint, public_endpoint, private_endpoint, tls_server_name, proxy_url)
INSERT INTO cluster_details (account_id, cluster_seq, region_id, created_at, server_ca, manage_endpoint,
    public_endpoint, private_endpoint, tls_server_name, proxy_url, kube_system_uid)
VALUES (:account_id, :cluster_seq, :region_id, :created_at, :server_ca, :manage_endpoint,
    :public_endpoint, :private_endpoint, :tls_server_name, :proxy_url, NULL);

-- name: set_cluster_details(account_id, cluster_seq, region_id, server_ca, manage_endpoint, public_endpoint, private_endpoint, tls_server_name, proxy_url)
UPDATE cluster_details SET region_id = :region_id, server_ca = :server_ca, manage_endpoint = :manage_endpoint,
    public_endpoint = :public_endpoint, private_endpoint = :private_endpoint,
    tls_server_name = :tls_server_name, proxy_url = :proxy_url
WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: set_attest_on_clean(account_id, cluster_seq, attest_on_clean)
UPDATE cluster_details SET attest_on_clean = :attest_on_clean
WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: find_cluster_details(account_id, cluster_seq)
SELECT region_id, created_at, server_ca, manage_endpoint, public_endpoint, private_endpoint, tls_server_name,
    proxy_url, kube_system_uid, attest_on_clean
FROM cluster_details WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: find_cluster_by_id(account_id, cluster_id)
SELECT seq, cluster_id, name, told_state, seen_state, trust_epoch, deleted_at FROM clusters
WHERE account_id = :account_id AND cluster_id = :cluster_id;

-- name: find_cluster_by_seq(account_id, seq)
SELECT seq, cluster_id, name, told_state, seen_state, trust_epoch, deleted_at FROM clusters
WHERE account_id = :account_id AND seq = :seq;

-- name: list_clusters_by_name(account_id, name, at_most)
SELECT seq, cluster_id, name, told_state, seen_state, trust_epoch, deleted_at FROM clusters
WHERE account_id = :account_id AND name = :name ORDER BY seq LIMIT :at_most;

-- name: find_purged_cluster(account_id, cluster_id)
SELECT seq FROM purged_clusters WHERE account_id = :account_id AND cluster_id = :cluster_id;

-- name: set_cluster_name(account_id, seq, name)
UPDATE clusters SET name = :name WHERE account_id = :account_id AND seq = :seq;

-- name: set_cluster_told_state(account_id, seq, told_state)
-- What was seen before counts no more.
UPDATE clusters SET told_state = :told_state, seen_state = NULL WHERE account_id = :account_id AND seq = :seq;

-- name: set_cluster_deleted(account_id, seq, deleted_at)
UPDATE clusters SET deleted_at = :deleted_at, told_state = 'deleted', seen_state = NULL
WHERE account_id = :account_id AND seq = :seq AND deleted_at IS NULL;

-- name: drop_cluster(account_id, seq)
DELETE FROM clusters WHERE account_id = :account_id AND seq = :seq;

-- name: add_purged_cluster(account_id, cluster_id, seq, purged_at)
INSERT INTO purged_clusters (account_id, cluster_id, seq, purged_at)
VALUES (:account_id, :cluster_id, :seq, :purged_at);

-- name: add_trust_bundle(account_id, cluster_seq, epoch, client_ca, recorded_at)
INSERT INTO trust_bundles (account_id, cluster_seq, epoch, client_ca, recorded_at)
VALUES (:account_id, :cluster_seq, :epoch, :client_ca, :recorded_at);

-- name: set_cluster_trust_epoch(account_id, seq, epoch)
UPDATE clusters SET trust_epoch = :epoch WHERE account_id = :account_id AND seq = :seq;

-- name: drop_client_ca_keys(account_id, cluster_seq)
DELETE FROM client_ca_keys WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: add_client_ca_key(account_id, cluster_seq, key_sha256)
INSERT INTO client_ca_keys (account_id, cluster_seq, key_sha256) VALUES (:account_id, :cluster_seq, :key_sha256);

-- name: list_clusters_of_same_client_ca(account_id, cluster_seq, at_most)
SELECT c.cluster_id, c.name, d.mode FROM clusters AS c
JOIN cluster_details AS d ON d.account_id = c.account_id AND d.cluster_seq = c.seq
WHERE c.account_id = :account_id AND c.deleted_at IS NULL AND c.seq IN (
    SELECT o.cluster_seq FROM client_ca_keys AS k
    JOIN client_ca_keys AS o ON o.account_id = k.account_id AND o.key_sha256 = k.key_sha256
    WHERE k.account_id = :account_id AND k.cluster_seq = :cluster_seq AND o.cluster_seq <> :cluster_seq)
ORDER BY c.seq LIMIT :at_most;

-- name: find_trust_bundle(account_id, cluster_seq, epoch)
SELECT client_ca, recorded_at FROM trust_bundles
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND epoch = :epoch;

-- name: find_observation(account_id, cluster_seq)
SELECT reachable, observed_at, clock_skew_seconds FROM cluster_observations
WHERE account_id = :account_id AND cluster_seq = :cluster_seq;

-- name: list_cluster_details_between(account_id, first_seq, last_seq)
SELECT d.cluster_seq, d.region_id, d.created_at, d.public_endpoint, d.private_endpoint, d.kubernetes_version, d.mode,
    a.expires_at, a.renewal_fault, o.clock_skew_seconds
FROM cluster_details AS d
LEFT JOIN cluster_accesses AS a ON a.account_id = d.account_id AND a.cluster_seq = d.cluster_seq
LEFT JOIN cluster_observations AS o ON o.account_id = d.account_id AND o.cluster_seq = d.cluster_seq
WHERE d.account_id = :account_id AND d.cluster_seq BETWEEN :first_seq AND :last_seq;

-- name: list_clusters_like(account_id, pattern, region_id, at_most, skipped)
-- pattern: of the name in lower case; region_id: '' for every region.
SELECT c.seq, c.cluster_id, c.name, COALESCE(c.seen_state, c.told_state), d.region_id, d.created_at, d.public_endpoint,
    d.private_endpoint, d.kubernetes_version, d.mode, a.expires_at, a.renewal_fault, o.clock_skew_seconds
FROM clusters AS c JOIN cluster_details AS d ON d.account_id = c.account_id AND d.cluster_seq = c.seq
LEFT JOIN cluster_accesses AS a ON a.account_id = c.account_id AND a.cluster_seq = c.seq
LEFT JOIN cluster_observations AS o ON o.account_id = c.account_id AND o.cluster_seq = c.seq
WHERE c.account_id = :account_id AND lower(c.name) LIKE :pattern ESCAPE '\'
    AND (:region_id = '' OR d.region_id = :region_id)
ORDER BY c.seq LIMIT :at_most OFFSET :skipped;

-- name: count_clusters_like(account_id, pattern, region_id)
SELECT COUNT(*)
FROM clusters AS c JOIN cluster_details AS d ON d.account_id = c.account_id AND d.cluster_seq = c.seq
WHERE c.account_id = :account_id AND lower(c.name) LIKE :pattern ESCAPE '\'
    AND (:region_id = '' OR d.region_id = :region_id);

-- name: find_next_region(account_id, region_id)
-- Of clusters that were not purged.
SELECT MIN(d.region_id) FROM cluster_details AS d
JOIN clusters AS c ON c.account_id = d.account_id AND c.seq = d.cluster_seq
WHERE d.account_id = :account_id AND d.region_id > :region_id;
