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
SELECT cluster_seq, reachable, observed_at FROM cluster_observations
WHERE account_id = :account_id AND cluster_seq BETWEEN :first_seq AND :last_seq;

-- name: list_unended_between(account_id, uid, first_seq, last_seq, now)
-- What may still be good in these clusters (also what was removed): never the dead that pile up. One seek a cluster.
SELECT k.cluster_seq, k.credential_no, k.issued_at, k.not_before, k.not_after, k.vouched_until, k.trust_epoch,
       k.verdict, k.masters, k.removed_at, k.removed_by, k.removal_requested_at, k.fingerprint, k.cn, k.origin
FROM clusters AS c
CROSS JOIN credentials AS k
WHERE c.account_id = :account_id AND c.seq BETWEEN :first_seq AND :last_seq
    AND k.account_id = c.account_id AND k.uid = :uid AND k.cluster_seq = c.seq
    AND k.not_after >= :now
UNION ALL
SELECT k.cluster_seq, k.credential_no, k.issued_at, k.not_before, k.not_after, k.vouched_until, k.trust_epoch,
       k.verdict, k.masters, k.removed_at, k.removed_by, k.removal_requested_at, k.fingerprint, k.cn, k.origin
FROM clusters AS c
CROSS JOIN credentials AS k
WHERE c.account_id = :account_id AND c.seq BETWEEN :first_seq AND :last_seq
    AND k.account_id = c.account_id AND k.uid = :uid AND k.cluster_seq = c.seq
    AND k.not_after IS NULL;

-- name: find_newest_credential(account_id, uid, cluster_seq)
SELECT credential_no, removed_by, removed_at, removal_requested_at, verdict FROM credentials
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq
ORDER BY issued_at DESC, credential_no DESC LIMIT 1;
