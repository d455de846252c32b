-- The list: one page of clusters and what one person holds in them. Each is a range scan of a primary key.

-- name: list_nodes(account_id, lvl, first_idx, last_idx)
SELECT idx, cnt FROM nodes
WHERE account_id = :account_id AND lvl = :lvl AND idx BETWEEN :first_idx AND :last_idx
ORDER BY idx;

-- name: list_clusters_from(account_id, first_seq, at_most, skipped)
-- What a probe saw stands above what was told; a deletion clears it. skipped is less than 64.
SELECT seq, cluster_id, name, COALESCE(seen_state, told_state), trust_epoch FROM clusters
WHERE account_id = :account_id AND seq >= :first_seq
ORDER BY seq LIMIT :at_most OFFSET :skipped;

-- name: list_holdings_between(account_id, uid, first_seq, last_seq)
SELECT cluster_seq, vouched_until, unvouched_until, unvouched_open, newest_removed_at, newest_not_after, trust_epoch
FROM holdings
WHERE account_id = :account_id AND uid = :uid AND cluster_seq BETWEEN :first_seq AND :last_seq;

-- name: list_observations_between(account_id, first_seq, last_seq)
SELECT cluster_seq, reachable, observed_at, clock_skew_seconds FROM cluster_observations
WHERE account_id = :account_id AND cluster_seq BETWEEN :first_seq AND :last_seq;

-- name: find_newest_credential(account_id, uid, cluster_seq)
SELECT credential_no, removed_by, removed_at, removal_requested_at, verdict FROM credentials
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq
ORDER BY issued_at DESC, credential_no DESC LIMIT 1;
