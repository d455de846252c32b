-- What is counted and added up, beside the facts that it is made of.

-- name: list_every_cluster(account_id)
SELECT seq, trust_epoch FROM clusters WHERE account_id = :account_id ORDER BY seq;

-- name: list_every_node(account_id)
SELECT lvl, idx, cnt FROM nodes WHERE account_id = :account_id AND cnt <> 0;

-- name: drop_nodes(account_id)
DELETE FROM nodes WHERE account_id = :account_id;

-- name: add_node(account_id, lvl, idx, cnt)
INSERT INTO nodes (account_id, lvl, idx, cnt) VALUES (:account_id, :lvl, :idx, :cnt);

-- name: find_counts(account_id)
SELECT cluster_count, last_cluster_seq, last_credential_no FROM accounts WHERE account_id = :account_id;

-- name: find_last_cluster(account_id)
SELECT MAX(seq) FROM clusters WHERE account_id = :account_id;

-- name: find_last_purged_cluster(account_id)
SELECT MAX(seq) FROM purged_clusters WHERE account_id = :account_id;

-- name: find_last_credential(account_id)
SELECT MAX(credential_no) FROM credentials WHERE account_id = :account_id;

-- name: set_cluster_counts(account_id, cluster_count, last_cluster_seq)
UPDATE accounts SET cluster_count = :cluster_count, last_cluster_seq = :last_cluster_seq WHERE account_id = :account_id;

-- name: list_newest_event_times(account_id, at_most)
SELECT recorded_at_ms FROM events WHERE account_id = :account_id ORDER BY event_no DESC LIMIT :at_most;
