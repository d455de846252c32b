-- Credentials found one by one. Each begins behind a place in an order that an index has, so it is flat at any depth.

-- name: scan_credentials(account_id, after_no, at_most)
SELECT k.credential_no, k.issued_at, k.not_before, k.not_after, k.vouched_until, k.trust_epoch, k.verdict, k.masters,
    k.removed_at, k.removed_by, k.removal_requested_at, k.uid, k.cluster_seq, c.trust_epoch, p.deleted_at
FROM credentials AS k
JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
LEFT JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
WHERE k.account_id = :account_id AND k.credential_no > :after_no
ORDER BY k.credential_no LIMIT :at_most;

-- name: scan_credentials_in_cluster(account_id, cluster_seq, after_no, at_most)
SELECT k.credential_no, k.issued_at, k.not_before, k.not_after, k.vouched_until, k.trust_epoch, k.verdict, k.masters,
    k.removed_at, k.removed_by, k.removal_requested_at, k.uid, k.cluster_seq, c.trust_epoch, p.deleted_at
FROM credentials AS k
JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
LEFT JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
WHERE k.account_id = :account_id AND k.cluster_seq = :cluster_seq AND k.credential_no > :after_no
ORDER BY k.credential_no LIMIT :at_most;

-- name: scan_credentials_of(account_id, uid, last_seq, after_seq, after_issued_at, after_no, at_most)
-- In the order of credentials_by_age, of one holder in the clusters up to last_seq.
SELECT k.credential_no, k.issued_at, k.not_before, k.not_after, k.vouched_until, k.trust_epoch, k.verdict, k.masters,
    k.removed_at, k.removed_by, k.removal_requested_at, k.uid, k.cluster_seq, c.trust_epoch, p.deleted_at
FROM credentials AS k
JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
LEFT JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
WHERE k.account_id = :account_id AND k.uid = :uid AND k.cluster_seq <= :last_seq
    AND (k.cluster_seq, k.issued_at, k.credential_no) > (:after_seq, :after_issued_at, :after_no)
ORDER BY k.cluster_seq, k.issued_at, k.credential_no LIMIT :at_most;

-- name: scan_credentials_by_fingerprint(account_id, fingerprint, after_seq, at_most)
SELECT k.credential_no, k.issued_at, k.not_before, k.not_after, k.vouched_until, k.trust_epoch, k.verdict, k.masters,
    k.removed_at, k.removed_by, k.removal_requested_at, k.uid, k.cluster_seq, c.trust_epoch, p.deleted_at
FROM credentials AS k
JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
LEFT JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
WHERE k.account_id = :account_id AND k.fingerprint = :fingerprint AND k.cluster_seq > :after_seq
ORDER BY k.cluster_seq LIMIT :at_most;

-- name: scan_credentials_by_serial(account_id, serial, after_no, at_most)
SELECT k.credential_no, k.issued_at, k.not_before, k.not_after, k.vouched_until, k.trust_epoch, k.verdict, k.masters,
    k.removed_at, k.removed_by, k.removal_requested_at, k.uid, k.cluster_seq, c.trust_epoch, p.deleted_at
FROM certificates AS x
JOIN credentials AS k ON k.account_id = x.account_id AND k.credential_no = x.credential_no
JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
LEFT JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
WHERE x.account_id = :account_id AND x.serial = :serial AND x.credential_no > :after_no
ORDER BY x.credential_no LIMIT :at_most;

-- name: find_credential_details(account_id, credential_no)
-- The cluster may have been purged, for who asks about the past.
SELECT k.fingerprint, x.serial, k.cn, x.organizations, k.origin, k.temporary_minutes, c.cluster_id, c.name,
    COALESCE(c.seen_state, c.told_state), p.disabled_at, p.deleted_at, n.name, v.stored_at, v.destroyed_at
FROM credentials AS k
LEFT JOIN clusters AS c ON c.account_id = k.account_id AND c.seq = k.cluster_seq
LEFT JOIN certificates AS x ON x.account_id = k.account_id AND x.credential_no = k.credential_no
LEFT JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
LEFT JOIN personal_names AS n ON n.account_id = k.account_id AND n.uid = k.uid
LEFT JOIN private_keys AS v ON v.account_id = k.account_id AND v.credential_no = k.credential_no
WHERE k.account_id = :account_id AND k.credential_no = :credential_no;

-- name: list_removals(account_id, credential_no)
SELECT kind, actor, reason, evidence, occurred_at FROM removals
WHERE account_id = :account_id AND credential_no = :credential_no ORDER BY removal_no;

-- name: list_newest_events_about(account_id, cluster_seq, subject, last_no, at_most)
SELECT event_no, recorded_at_ms, kind, actor, request_id, reason FROM events
WHERE account_id = :account_id AND subject = :subject AND subject <> '' AND cluster_seq = :cluster_seq
    AND event_no <= :last_no
ORDER BY event_no DESC LIMIT :at_most;

-- name: list_newest_events_of_kind_about(account_id, cluster_seq, subject, kind, last_no, at_most)
SELECT event_no, recorded_at_ms, kind, actor, request_id, reason FROM events
WHERE account_id = :account_id AND subject = :subject AND subject <> '' AND cluster_seq = :cluster_seq AND kind = :kind
    AND event_no <= :last_no
ORDER BY event_no DESC LIMIT :at_most;
