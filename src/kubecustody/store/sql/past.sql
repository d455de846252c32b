-- The past: events of one thing up to a number, and which credentials may have counted then.

-- name: list_steps_of_cluster(account_id, subject, cluster_seq, last_no)
SELECT event_no, recorded_at_ms, kind, uid, actor, reason, details FROM events
WHERE account_id = :account_id AND subject = :subject AND subject <> '' AND cluster_seq = :cluster_seq
    AND event_no <= :last_no
    AND kind IN ('cluster_added', 'cluster_deleted', 'cluster_identity_changed', 'cluster_not_reached',
        'cluster_purged', 'cluster_reached', 'cluster_renamed', 'cluster_state_seen', 'cluster_state_told',
        'trust_changed')
ORDER BY event_no;

-- name: list_steps_of_credential(account_id, subject, cluster_seq, last_no)
SELECT event_no, recorded_at_ms, kind, uid, actor, reason, details FROM events
WHERE account_id = :account_id AND subject = :subject AND subject <> '' AND cluster_seq = :cluster_seq
    AND event_no <= :last_no
    AND kind IN ('credential_assigned', 'credential_chain_completed', 'credential_imported', 'credential_issued',
        'credential_matched', 'credential_restored', 'removal_attested', 'removal_lapsed', 'removal_proved',
        'removal_requested', 'removal_withdrawn', 'verdict_changed')
ORDER BY event_no;

-- name: list_steps_of_person(account_id, subject, cluster_seq, last_no)
SELECT event_no, recorded_at_ms, kind, uid, actor, reason, details FROM events
WHERE account_id = :account_id AND subject = :subject AND subject <> '' AND cluster_seq = :cluster_seq
    AND event_no <= :last_no
    AND kind IN ('account_created', 'principal_created', 'principal_deleted', 'principal_disabled',
        'principal_enabled')
ORDER BY event_no;

-- name: find_last_cluster_added(account_id, last_no)
SELECT cluster_seq FROM events
WHERE account_id = :account_id AND kind = 'cluster_added' AND event_no <= :last_no ORDER BY event_no DESC LIMIT 1;

-- name: list_purged_after(account_id, last_no)
SELECT cluster_seq, subject FROM events
WHERE account_id = :account_id AND kind = 'cluster_purged' AND event_no > :last_no ORDER BY event_no;

-- name: count_clusters_between(account_id, first_seq, last_seq)
SELECT COUNT(*) FROM clusters WHERE account_id = :account_id AND seq BETWEEN :first_seq AND :last_seq;

-- name: list_held_from(account_id, uid, cluster_seq, not_after, recorded_at)
SELECT credential_no, issued_at, not_before, not_after, masters, fingerprint, cn, origin
FROM credentials
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq AND not_after >= :not_after
    AND recorded_at <= :recorded_at AND fingerprint IS NOT NULL;

-- name: list_held_by_age(account_id, uid, cluster_seq, recorded_at, issued_at, credential_no, at_most)
-- The newest first, behind one of them.
SELECT credential_no, issued_at, not_before, not_after, masters, fingerprint, cn, origin
FROM credentials
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq
    AND (issued_at, credential_no) < (:issued_at, :credential_no)
    AND recorded_at <= :recorded_at AND fingerprint IS NOT NULL
ORDER BY issued_at DESC, credential_no DESC LIMIT :at_most;

-- name: list_moved_after(account_id, kind, last_no)
-- Credentials that were somebody's before and are another's since.
SELECT cluster_seq, subject, details FROM events
WHERE account_id = :account_id AND kind = :kind AND event_no > :last_no AND details <> '{"before":""}'
ORDER BY event_no;

-- name: list_matched_after(account_id, cluster_seq, last_no)
SELECT subject FROM events
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND cluster_seq <> 0 AND event_no > :last_no
    AND kind IN ('credential_matched', 'credential_assigned');

-- name: list_recorded_in(account_id, cluster_seq, recorded_at)
SELECT credential_no, issued_at, not_before, not_after, masters, fingerprint, cn, origin, uid
FROM credentials
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND recorded_at <= :recorded_at
    AND fingerprint IS NOT NULL;

-- name: list_recorded_from(account_id, after_no, at_most)
SELECT credential_no, issued_at, not_before, not_after, masters, fingerprint, cn, origin, cluster_seq
FROM credentials
WHERE account_id = :account_id AND credential_no > :after_no AND fingerprint IS NOT NULL
ORDER BY credential_no LIMIT :at_most;

-- name: list_recorded_in_from(account_id, cluster_seq, after_no, at_most)
SELECT credential_no, issued_at, not_before, not_after, masters, fingerprint, cn, origin, cluster_seq
FROM credentials
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND credential_no > :after_no
    AND fingerprint IS NOT NULL
ORDER BY credential_no LIMIT :at_most;

-- name: find_recorded(account_id, cluster_seq, fingerprint)
SELECT credential_no, issued_at, not_before, not_after, masters, fingerprint, cn, origin
FROM credentials
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND fingerprint = :fingerprint;
