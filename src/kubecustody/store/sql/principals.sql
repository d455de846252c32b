-- name: add_principal(account_id, uid, kind, created_at)
INSERT INTO principals (account_id, uid, kind, created_at, disabled_at, deleted_at)
VALUES (:account_id, :uid, :kind, :created_at, NULL, NULL);

-- name: find_principal(account_id, uid)
SELECT p.uid, p.kind, p.created_at, p.disabled_at, p.deleted_at, n.name, n.display_name, p.delegated_admin,
       n.email_folded
FROM principals AS p LEFT JOIN personal_names AS n ON n.account_id = p.account_id AND n.uid = p.uid
WHERE p.account_id = :account_id AND p.uid = :uid;

-- name: find_principal_by_name(account_id, folded)
SELECT p.uid, p.kind, p.created_at, p.disabled_at, p.deleted_at, n.name, n.display_name, p.delegated_admin,
       n.email_folded
FROM personal_names AS n JOIN principals AS p ON p.account_id = n.account_id AND p.uid = n.uid
WHERE n.account_id = :account_id AND n.name_folded = :folded
UNION
SELECT p.uid, p.kind, p.created_at, p.disabled_at, p.deleted_at, n.name, n.display_name, p.delegated_admin,
       n.email_folded
FROM personal_names AS n JOIN principals AS p ON p.account_id = n.account_id AND p.uid = n.uid
WHERE n.account_id = :account_id AND n.email_folded = :folded;

-- name: list_principals_after(account_id, kind, after_uid, at_most)
SELECT p.uid, p.kind, p.created_at, p.disabled_at, p.deleted_at, n.name, n.display_name, p.delegated_admin,
       n.email_folded
FROM principals AS p LEFT JOIN personal_names AS n ON n.account_id = p.account_id AND n.uid = p.uid
WHERE p.account_id = :account_id AND p.kind = :kind AND p.uid > :after_uid
ORDER BY p.uid LIMIT :at_most;

-- name: set_principal_disabled(account_id, uid, disabled_at)
UPDATE principals SET disabled_at = :disabled_at WHERE account_id = :account_id AND uid = :uid;

-- name: set_delegated_admin(account_id, uid, delegated_admin)
UPDATE principals SET delegated_admin = :delegated_admin WHERE account_id = :account_id AND uid = :uid;

-- name: set_sessions_from(account_id, uid, sessions_from)
UPDATE principals SET sessions_from = :sessions_from WHERE account_id = :account_id AND uid = :uid;

-- name: set_principal_deleted(account_id, uid, deleted_at)
UPDATE principals SET deleted_at = :deleted_at WHERE account_id = :account_id AND uid = :uid AND deleted_at IS NULL;

-- name: add_personal_name(account_id, uid, name, name_folded, display_name, email_folded)
INSERT INTO personal_names (account_id, uid, name, name_folded, display_name, email_folded)
VALUES (:account_id, :uid, :name, :name_folded, :display_name, :email_folded);

-- name: add_group(account_id, name_folded, name, created_at)
INSERT INTO principal_groups (account_id, name_folded, name, created_at, deleted_at)
VALUES (:account_id, :name_folded, :name, :created_at, NULL);

-- name: find_group(account_id, name_folded)
SELECT name_folded, name, created_at, deleted_at FROM principal_groups
WHERE account_id = :account_id AND name_folded = :name_folded;

-- name: list_groups(account_id)
SELECT g.name, g.created_at, COUNT(m.uid) FROM principal_groups AS g
LEFT JOIN group_members AS m ON m.account_id = g.account_id AND m.group_folded = g.name_folded
WHERE g.account_id = :account_id AND g.deleted_at IS NULL
GROUP BY g.name_folded, g.name, g.created_at ORDER BY g.name_folded;

-- name: set_group_deleted(account_id, name_folded, deleted_at)
UPDATE principal_groups SET deleted_at = :deleted_at WHERE account_id = :account_id AND name_folded = :name_folded;

-- name: drop_group_members(account_id, group_folded)
DELETE FROM group_members WHERE account_id = :account_id AND group_folded = :group_folded;

-- name: add_group_member(account_id, uid, group_folded, added_at)
INSERT INTO group_members (account_id, uid, group_folded, added_at)
VALUES (:account_id, :uid, :group_folded, :added_at) ON CONFLICT DO NOTHING;

-- name: drop_group_member(account_id, uid, group_folded)
DELETE FROM group_members WHERE account_id = :account_id AND uid = :uid AND group_folded = :group_folded;

-- name: drop_memberships_of(account_id, uid)
DELETE FROM group_members WHERE account_id = :account_id AND uid = :uid;

-- name: set_policy(account_id, name_folded, name, document, created_at, changed_at)
INSERT INTO policies (account_id, name_folded, name, document, created_at, changed_at, deleted_at)
VALUES (:account_id, :name_folded, :name, :document, :created_at, :changed_at, NULL)
ON CONFLICT (account_id, name_folded) DO UPDATE
SET document = excluded.document, changed_at = excluded.changed_at, deleted_at = NULL;

-- name: find_policy(account_id, name_folded)
SELECT name, document, created_at, changed_at, deleted_at FROM policies
WHERE account_id = :account_id AND name_folded = :name_folded;

-- name: list_policies(account_id)
SELECT p.name, p.changed_at, COUNT(t.target) FROM policies AS p
LEFT JOIN policy_attachments AS t
    ON t.account_id = p.account_id AND t.policy_type = 'Custom' AND t.policy_folded = p.name_folded
WHERE p.account_id = :account_id AND p.deleted_at IS NULL
GROUP BY p.name_folded, p.name, p.changed_at ORDER BY p.name_folded;

-- name: set_policy_deleted(account_id, name_folded, deleted_at)
UPDATE policies SET deleted_at = :deleted_at WHERE account_id = :account_id AND name_folded = :name_folded;

-- name: count_attachments_of_policy(account_id, policy_type, policy_folded)
SELECT COUNT(*) FROM policy_attachments
WHERE account_id = :account_id AND policy_type = :policy_type AND policy_folded = :policy_folded;

-- name: attach_policy(account_id, target_kind, target, policy_type, policy_folded, attached_at)
INSERT INTO policy_attachments (account_id, target_kind, target, policy_type, policy_folded, attached_at)
VALUES (:account_id, :target_kind, :target, :policy_type, :policy_folded, :attached_at) ON CONFLICT DO NOTHING;

-- name: detach_policy(account_id, target_kind, target, policy_type, policy_folded)
DELETE FROM policy_attachments
WHERE account_id = :account_id AND target_kind = :target_kind AND target = :target
    AND policy_type = :policy_type AND policy_folded = :policy_folded;

-- name: detach_policies_of(account_id, target_kind, target)
DELETE FROM policy_attachments WHERE account_id = :account_id AND target_kind = :target_kind AND target = :target;

-- name: add_access_key_to_directory(access_key_id, account_id)
INSERT INTO access_key_directory (access_key_id, account_id) VALUES (:access_key_id, :account_id);

-- name: add_access_key(account_id, access_key_id, uid, sealed_secret, created_at)
INSERT INTO access_keys (account_id, access_key_id, uid, sealed_secret, created_at, disabled_at, deleted_at)
VALUES (:account_id, :access_key_id, :uid, :sealed_secret, :created_at, NULL, NULL);

-- name: find_access_key(account_id, access_key_id)
SELECT k.access_key_id, k.uid, k.created_at, k.disabled_at, k.deleted_at, u.used_at
FROM access_keys AS k
LEFT JOIN access_key_uses AS u ON u.account_id = k.account_id AND u.access_key_id = k.access_key_id
WHERE k.account_id = :account_id AND k.access_key_id = :access_key_id;

-- name: list_access_keys_of(account_id, uid)
SELECT k.access_key_id, k.uid, k.created_at, k.disabled_at, k.deleted_at, u.used_at
FROM access_keys AS k
LEFT JOIN access_key_uses AS u ON u.account_id = k.account_id AND u.access_key_id = k.access_key_id
WHERE k.account_id = :account_id AND k.uid = :uid ORDER BY k.created_at, k.access_key_id;

-- name: list_access_keys(account_id)
SELECT k.access_key_id, k.uid, k.created_at, k.disabled_at, k.deleted_at, u.used_at
FROM access_keys AS k
LEFT JOIN access_key_uses AS u ON u.account_id = k.account_id AND u.access_key_id = k.access_key_id
WHERE k.account_id = :account_id AND k.deleted_at IS NULL ORDER BY k.uid, k.created_at, k.access_key_id;

-- name: note_access_key_use(account_id, access_key_id, used_at)
-- Workers tell of uses in any order.
INSERT INTO access_key_uses (account_id, access_key_id, used_at)
VALUES (:account_id, :access_key_id, :used_at)
ON CONFLICT (account_id, access_key_id) DO UPDATE SET used_at = excluded.used_at
WHERE excluded.used_at > access_key_uses.used_at;

-- name: set_access_key_disabled(account_id, access_key_id, disabled_at)
UPDATE access_keys SET disabled_at = :disabled_at WHERE account_id = :account_id AND access_key_id = :access_key_id;

-- name: set_access_key_deleted(account_id, access_key_id, deleted_at)
UPDATE access_keys SET deleted_at = :deleted_at WHERE account_id = :account_id AND access_key_id = :access_key_id;

-- name: set_access_keys_of_deleted(account_id, uid, deleted_at)
UPDATE access_keys SET deleted_at = :deleted_at
WHERE account_id = :account_id AND uid = :uid AND deleted_at IS NULL;

-- name: list_sealed_access_keys(account_id)
SELECT access_key_id, sealed_secret FROM access_keys WHERE account_id = :account_id ORDER BY access_key_id;

-- name: set_sealed_secret(account_id, access_key_id, sealed_secret)
UPDATE access_keys SET sealed_secret = :sealed_secret WHERE account_id = :account_id AND access_key_id = :access_key_id;
