-- The way from an access key to who holds it and what policies speak of them.

-- name: find_key_holder(access_key_id)
SELECT k.account_id, k.uid, p.kind, k.sealed_secret,
       k.disabled_at, k.deleted_at, p.disabled_at, p.deleted_at,
       a.region_id, a.iam_version, a.cluster_count, a.last_cluster_seq, a.closed_at,
       p.delegated_admin, p.sessions_from
FROM access_key_directory AS d
JOIN access_keys AS k ON k.account_id = d.account_id AND k.access_key_id = d.access_key_id
JOIN principals AS p ON p.account_id = k.account_id AND p.uid = k.uid
JOIN accounts AS a ON a.account_id = k.account_id
WHERE d.access_key_id = :access_key_id;

-- name: find_session_holder(account_id, uid)
-- As find_key_holder, for a temporary key, which only its token knows.
SELECT p.account_id, p.uid, p.kind, NULL, NULL, NULL, p.disabled_at, p.deleted_at,
       a.region_id, a.iam_version, a.cluster_count, a.last_cluster_seq, a.closed_at,
       p.delegated_admin, p.sessions_from
FROM principals AS p
JOIN accounts AS a ON a.account_id = p.account_id
WHERE p.account_id = :account_id AND p.uid = :uid;

-- name: list_policies_of_principal(account_id, uid)
-- A policy comes once for each way in which it is attached. CROSS JOIN: from the memberships, which are few.
SELECT t.policy_type, t.policy_folded, c.name, c.document
FROM policy_attachments AS t
LEFT JOIN policies AS c
    ON t.policy_type = 'Custom' AND c.account_id = t.account_id
    AND c.name_folded = t.policy_folded AND c.deleted_at IS NULL
WHERE t.account_id = :account_id AND t.target_kind = 'principal' AND t.target = :uid
UNION ALL
SELECT t.policy_type, t.policy_folded, c.name, c.document
FROM group_members AS m
CROSS JOIN policy_attachments AS t
LEFT JOIN policies AS c
    ON t.policy_type = 'Custom' AND c.account_id = t.account_id
    AND c.name_folded = t.policy_folded AND c.deleted_at IS NULL
WHERE m.account_id = :account_id AND m.uid = :uid
    AND t.account_id = m.account_id AND t.target_kind = 'group' AND t.target = m.group_folded;
