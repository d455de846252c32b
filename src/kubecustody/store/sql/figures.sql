-- What the metrics tell of the store.

-- name: count_credentials(account_id, now)
-- As core.states.state_of_credential has it; what is none of the three is Unknown. Credentials of purged clusters are
-- history. Counted in one pass, since to group by the state would sort them all; CROSS JOIN and the credential_no keep
-- to the order of the primary key.
SELECT COUNT(*),
       COUNT(k.removed_at),
       COUNT(CASE WHEN k.removed_at IS NULL AND k.not_after < :now THEN 1 END),
       COUNT(CASE WHEN k.removed_at IS NULL AND (k.not_after IS NULL OR k.not_after >= :now)
                  AND k.trust_epoch = c.trust_epoch AND k.vouched_until >= :now THEN 1 END),
       COUNT(CASE WHEN k.removed_at IS NULL AND (k.not_after IS NULL OR k.not_after >= :now)
                  THEN k.removal_requested_at END),
       MIN(CASE WHEN k.removed_at IS NULL AND (k.not_after IS NULL OR k.not_after >= :now)
                THEN k.removal_requested_at END)
FROM credentials AS k CROSS JOIN clusters AS c
WHERE k.account_id = :account_id AND k.credential_no > 0
    AND c.account_id = k.account_id AND c.seq = k.cluster_seq;

-- name: list_soonest_ends(account_id, now, at_most)
-- The end that counts for a person is the latest of theirs in the cluster.
SELECT c.cluster_id, MIN(h.vouched_until) AS ends_at
FROM holdings AS h JOIN clusters AS c ON c.account_id = h.account_id AND c.seq = h.cluster_seq
WHERE h.account_id = :account_id AND h.vouched_until >= :now AND h.trust_epoch = c.trust_epoch
    AND c.deleted_at IS NULL
GROUP BY c.cluster_id ORDER BY ends_at, c.cluster_id LIMIT :at_most;

-- name: list_reached_figures(account_id, now, at_most)
SELECT c.cluster_id, COALESCE(o.reachable, 0), o.reached_at, a.expires_at, o.clock_skew_seconds,
    (SELECT MIN(k.removal_requested_at) FROM credentials AS k
     WHERE k.account_id = c.account_id AND k.cluster_seq = c.seq AND k.removal_requested_at IS NOT NULL
        AND k.removed_at IS NULL AND (k.not_after IS NULL OR k.not_after >= :now))
FROM cluster_accesses AS a
JOIN clusters AS c ON c.account_id = a.account_id AND c.seq = a.cluster_seq
LEFT JOIN cluster_observations AS o ON o.account_id = a.account_id AND o.cluster_seq = a.cluster_seq
WHERE a.account_id = :account_id AND c.deleted_at IS NULL ORDER BY c.seq LIMIT :at_most;

-- name: list_event_kinds_after(account_id, event_no, at_most)
SELECT event_no, kind FROM events
WHERE account_id = :account_id AND event_no > :event_no ORDER BY event_no LIMIT :at_most;
