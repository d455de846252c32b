-- What people are permitted: the person's, whatever credentials they hold. cluster_seq 0 is every cluster.

-- name: list_grants_of(account_id, uid)
-- But for clusters that were purged.
SELECT g.cluster_seq, COALESCE(c.cluster_id, ''), g.namespace, g.role_name, g.is_custom
FROM grants AS g LEFT JOIN clusters AS c ON c.account_id = g.account_id AND c.seq = g.cluster_seq
WHERE g.account_id = :account_id AND g.uid = :uid AND (g.cluster_seq = 0 OR c.seq IS NOT NULL)
ORDER BY g.cluster_seq, g.namespace, g.role_name, g.is_custom;

-- name: add_grant(account_id, uid, cluster_seq, namespace, role_name, is_custom, granted_at)
INSERT INTO grants (account_id, uid, cluster_seq, namespace, role_name, is_custom, granted_at)
VALUES (:account_id, :uid, :cluster_seq, :namespace, :role_name, :is_custom, :granted_at);

-- name: drop_grant(account_id, uid, cluster_seq, namespace, role_name, is_custom)
DELETE FROM grants
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq AND namespace = :namespace
    AND role_name = :role_name AND is_custom = :is_custom;

-- name: list_grants_in_cluster(account_id, cluster_seq)
-- Those for it alone, and those for every cluster.
SELECT uid, role_name, namespace, is_custom FROM grants
WHERE account_id = :account_id AND cluster_seq = :cluster_seq
UNION
SELECT uid, role_name, namespace, is_custom FROM grants
WHERE account_id = :account_id AND cluster_seq = 0;

-- name: note_dropped_grant(account_id, uid, cluster_seq, namespace, role_name, is_custom, dropped_at)
INSERT INTO dropped_grants (account_id, uid, cluster_seq, namespace, role_name, is_custom, dropped_at)
VALUES (:account_id, :uid, :cluster_seq, :namespace, :role_name, :is_custom, :dropped_at)
ON CONFLICT (account_id, uid, cluster_seq, namespace, role_name, is_custom) DO UPDATE
SET dropped_at = excluded.dropped_at;

-- name: list_dropped_grants_in_cluster(account_id, cluster_seq)
SELECT uid, role_name, namespace, is_custom FROM dropped_grants
WHERE account_id = :account_id AND cluster_seq = :cluster_seq
UNION
SELECT uid, role_name, namespace, is_custom FROM dropped_grants
WHERE account_id = :account_id AND cluster_seq = 0;

-- name: count_other_admins(account_id, cluster_seq, uid)
-- People beside this one who may call, and are permitted all of a cluster.
SELECT COUNT(DISTINCT g.uid) FROM grants AS g
JOIN principals AS p ON p.account_id = g.account_id AND p.uid = g.uid
WHERE g.account_id = :account_id AND g.cluster_seq IN (0, :cluster_seq) AND g.namespace = '' AND g.uid <> :uid
    AND ((g.role_name = 'admin' AND g.is_custom = 0) OR (g.role_name = 'cluster-admin' AND g.is_custom = 1))
    AND p.deleted_at IS NULL AND p.disabled_at IS NULL;

-- name: list_subjects_of(account_id, uid, cluster_seq, now)
-- As whom a person comes to a cluster: by certificates that are alive and that nobody has asked to remove.
SELECT k.cn, c.organizations FROM credentials AS k
JOIN certificates AS c ON c.account_id = k.account_id AND c.credential_no = k.credential_no
WHERE k.account_id = :account_id AND k.uid = :uid AND k.cluster_seq = :cluster_seq AND k.removed_at IS NULL
    AND k.removal_requested_at IS NULL AND k.not_after >= :now;
