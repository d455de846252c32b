-- The chain of an account's events, in its own order.

-- name: list_events_from(account_id, first_no, at_most)
SELECT account_id, event_no, recorded_at_ms, occurred_at, kind, actor, request_id, uid, cluster_seq, subject, reason,
    details
FROM events WHERE account_id = :account_id AND event_no >= :first_no ORDER BY event_no LIMIT :at_most;

-- name: list_seals_from(account_id, last_event_no, at_most)
SELECT first_event_no, last_event_no, hash FROM event_seals
WHERE account_id = :account_id AND last_event_no >= :last_event_no ORDER BY last_event_no LIMIT :at_most;

-- name: find_seal_before(account_id, first_no)
SELECT hash FROM event_seals WHERE account_id = :account_id AND last_event_no < :first_no
ORDER BY last_event_no DESC LIMIT 1;

-- name: find_chain_end(account_id)
SELECT last_event_no, last_seal_hash FROM accounts WHERE account_id = :account_id;
