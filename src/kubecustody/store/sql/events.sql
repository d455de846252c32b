-- Events, the newest first: each is a range scan of a key that ends with event_no, so it is flat from any point.

-- name: list_events(account_id, after_no, before_no, at_most)
SELECT account_id, event_no, recorded_at_ms, occurred_at, kind, actor, request_id, uid, cluster_seq, subject, reason,
    details
FROM events WHERE account_id = :account_id AND event_no > :after_no AND event_no < :before_no
ORDER BY event_no DESC LIMIT :at_most;

-- name: list_events_of_person(account_id, uid, after_no, before_no, at_most)
SELECT account_id, event_no, recorded_at_ms, occurred_at, kind, actor, request_id, uid, cluster_seq, subject, reason,
    details
FROM events
WHERE account_id = :account_id AND uid = :uid AND uid <> '' AND event_no > :after_no AND event_no < :before_no
ORDER BY event_no DESC LIMIT :at_most;

-- name: list_events_of_cluster(account_id, cluster_seq, after_no, before_no, at_most)
SELECT account_id, event_no, recorded_at_ms, occurred_at, kind, actor, request_id, uid, cluster_seq, subject, reason,
    details
FROM events
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND cluster_seq <> 0
    AND event_no > :after_no AND event_no < :before_no
ORDER BY event_no DESC LIMIT :at_most;

-- name: list_events_of_kind(account_id, kind, after_no, before_no, at_most)
SELECT account_id, event_no, recorded_at_ms, occurred_at, kind, actor, request_id, uid, cluster_seq, subject, reason,
    details
FROM events
WHERE account_id = :account_id AND kind = :kind AND event_no > :after_no AND event_no < :before_no
ORDER BY event_no DESC LIMIT :at_most;

-- name: find_event_time(account_id, event_no)
SELECT recorded_at_ms FROM events WHERE account_id = :account_id AND event_no = :event_no;

-- name: has_whole_history(account_id)
SELECT 1 FROM accounts WHERE account_id = :account_id AND whole_history = 1;

-- name: find_last_event_no(account_id)
SELECT last_event_no FROM accounts WHERE account_id = :account_id;

-- name: find_first_event_of_cluster(account_id, cluster_seq)
SELECT subject FROM events
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND cluster_seq <> 0 AND kind = 'cluster_added'
ORDER BY event_no LIMIT 1;
