-- What was removed and may come back.

-- name: list_restorable(account_id, uid, since, now, at_most)
-- uid: '' for everybody.
SELECT k.credential_no, k.cluster_seq, k.uid, k.cn, k.fingerprint, k.removal_requested_at, k.not_after, k.vouched_until,
    k.trust_epoch, k.issued_at, k.compromised_at, k.holders_key, k.origin, c.cluster_id, c.name, c.trust_epoch,
    COALESCE(c.seen_state, c.told_state), p.deleted_at, p.disabled_at, v.sealed IS NOT NULL
FROM credentials AS k
JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
LEFT JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
LEFT JOIN private_keys AS v ON v.account_id = k.account_id AND v.credential_no = k.credential_no
WHERE k.account_id = :account_id AND k.removal_requested_at >= :since AND k.not_after >= :now AND k.uid <> ''
    AND (:uid = '' OR k.uid = :uid) AND c.deleted_at IS NULL
ORDER BY k.removal_requested_at DESC LIMIT :at_most;

-- name: find_restorable(account_id, credential_no)
SELECT k.credential_no, k.cluster_seq, k.uid, k.cn, k.fingerprint, k.removal_requested_at, k.not_after, k.vouched_until,
    k.trust_epoch, k.issued_at, k.compromised_at, k.holders_key, k.origin, c.cluster_id, c.name, c.trust_epoch,
    COALESCE(c.seen_state, c.told_state), p.deleted_at, p.disabled_at, v.sealed IS NOT NULL
FROM credentials AS k
JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
LEFT JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
LEFT JOIN private_keys AS v ON v.account_id = k.account_id AND v.credential_no = k.credential_no
WHERE k.account_id = :account_id AND k.credential_no = :credential_no;

-- name: list_removed_between(account_id, uid, since, until)
SELECT k.credential_no, k.cluster_seq, k.uid, k.cn, k.fingerprint, k.removal_requested_at, k.not_after, k.vouched_until,
    k.trust_epoch, k.issued_at, k.compromised_at, k.holders_key, k.origin, c.cluster_id, c.name, c.trust_epoch,
    COALESCE(c.seen_state, c.told_state), p.deleted_at, p.disabled_at, v.sealed IS NOT NULL
FROM credentials AS k
JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
LEFT JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
LEFT JOIN private_keys AS v ON v.account_id = k.account_id AND v.credential_no = k.credential_no
WHERE k.account_id = :account_id AND k.uid = :uid AND k.removal_requested_at BETWEEN :since AND :until
    AND c.deleted_at IS NULL
ORDER BY k.cluster_seq, k.credential_no;

-- name: list_grants_dropped_between(account_id, uid, since, until)
SELECT d.dropped_at, d.cluster_seq, COALESCE(c.cluster_id, ''), d.namespace, d.role_name, d.is_custom
FROM dropped_grants AS d LEFT JOIN clusters AS c ON c.account_id = d.account_id AND c.seq = d.cluster_seq
WHERE d.account_id = :account_id AND d.uid = :uid AND d.dropped_at BETWEEN :since AND :until
    AND (d.cluster_seq = 0 OR c.seq IS NOT NULL) AND c.deleted_at IS NULL
ORDER BY d.cluster_seq, d.namespace, d.role_name, d.is_custom;

-- name: list_removed_in(account_id, uid, request_id, since, until)
-- What removals took, as their events tell. request_id: '' for those of any request.
SELECT kind, cluster_seq, subject, occurred_at FROM events
WHERE account_id = :account_id AND uid = :uid AND kind IN ('removal_requested', 'permissions_cleaned')
    AND occurred_at BETWEEN :since AND :until AND (:request_id = '' OR request_id = :request_id);

-- name: count_issued_since(account_id, uid, cluster_seq, credential_no, since, now)
-- Those that live and that nobody asked to remove, recorded after that one.
SELECT COUNT(*) FROM credentials
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq AND credential_no > :credential_no
    AND issued_at >= :since AND removal_requested_at IS NULL AND removed_at IS NULL AND not_after >= :now;

-- name: list_grants_dropped_at(account_id, uid, cluster_seq, dropped_at)
SELECT d.cluster_seq, c.cluster_id, d.namespace, d.role_name, d.is_custom FROM dropped_grants AS d
JOIN clusters AS c ON c.account_id = d.account_id AND c.seq = d.cluster_seq
WHERE d.account_id = :account_id AND d.uid = :uid AND d.cluster_seq = :cluster_seq AND d.dropped_at = :dropped_at
ORDER BY d.namespace, d.role_name, d.is_custom;

-- name: forget_evidence(account_id, credential_no)
DELETE FROM evidence WHERE account_id = :account_id AND credential_no = :credential_no;
