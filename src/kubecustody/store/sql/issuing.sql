-- name: add_signer(account_id, cluster_seq, signer_no, kind, certificate, sealed_key, from_at)
INSERT INTO signers (account_id, cluster_seq, signer_no, kind, certificate, sealed_key, from_at, to_at)
VALUES (:account_id, :cluster_seq, :signer_no, :kind, :certificate, :sealed_key, :from_at, NULL);

-- name: end_signers(account_id, cluster_seq, to_at)
UPDATE signers SET to_at = :to_at WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND to_at IS NULL;

-- name: find_newest_signer(account_id, cluster_seq)
SELECT signer_no, kind, certificate, sealed_key, to_at FROM signers
WHERE account_id = :account_id AND cluster_seq = :cluster_seq ORDER BY signer_no DESC LIMIT 1;

-- name: find_issuing_place(account_id, cluster_id)
-- A cluster with what issues for it: its details, its newest signer, and the bundle in force.
SELECT c.seq, c.cluster_id, c.name, c.told_state, c.seen_state, c.trust_epoch, c.deleted_at,
       d.server_ca, d.public_endpoint, d.private_endpoint, d.tls_server_name, d.proxy_url,
       s.signer_no, s.kind, s.certificate, s.sealed_key, s.to_at, t.client_ca, d.mode,
       o.clock_skew_seconds
FROM clusters AS c
JOIN cluster_details AS d ON d.account_id = c.account_id AND d.cluster_seq = c.seq
LEFT JOIN signers AS s ON s.account_id = c.account_id AND s.cluster_seq = c.seq AND s.signer_no = (
    SELECT MAX(n.signer_no) FROM signers AS n WHERE n.account_id = c.account_id AND n.cluster_seq = c.seq
)
LEFT JOIN trust_bundles AS t ON t.account_id = c.account_id AND t.cluster_seq = c.seq AND t.epoch = c.trust_epoch
LEFT JOIN cluster_observations AS o ON o.account_id = c.account_id AND o.cluster_seq = c.seq
WHERE c.account_id = :account_id AND c.cluster_id = :cluster_id;

-- name: list_sealed_signer_keys(account_id)
SELECT cluster_seq, signer_no, sealed_key FROM signers WHERE account_id = :account_id AND sealed_key IS NOT NULL;

-- name: set_sealed_signer_key(account_id, cluster_seq, signer_no, sealed_key)
UPDATE signers SET sealed_key = :sealed_key
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND signer_no = :signer_no;

-- name: list_current_issued(account_id, uid, cluster_seq, now)
-- Of our making, alive, and nobody has asked for their removal.
SELECT c.credential_no, c.issued_at, c.not_after, c.temporary_minutes, k.sealed IS NOT NULL,
       c.vouched_until, c.trust_epoch, c.fingerprint, c.holders_key
FROM credentials AS c
LEFT JOIN private_keys AS k ON k.account_id = c.account_id AND k.credential_no = c.credential_no
WHERE c.account_id = :account_id AND c.uid = :uid AND c.cluster_seq = :cluster_seq AND c.not_after >= :now
    AND c.origin = 'issued' AND c.removed_at IS NULL AND c.removal_requested_at IS NULL;

-- name: list_live_of(account_id, uid, cluster_seq, now)
SELECT credential_no, fingerprint, removal_requested_at, masters FROM credentials
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq AND removed_at IS NULL
    AND (not_after IS NULL OR not_after >= :now);

-- name: find_private_key(account_id, credential_no)
SELECT k.sealed, c.chain FROM private_keys AS k
JOIN certificates AS c ON c.account_id = k.account_id AND c.credential_no = k.credential_no
WHERE k.account_id = :account_id AND k.credential_no = :credential_no AND k.sealed IS NOT NULL;

-- name: set_compromised(account_id, credential_no, compromised_at)
UPDATE credentials SET compromised_at = :compromised_at
WHERE account_id = :account_id AND credential_no = :credential_no AND compromised_at IS NULL;

-- name: set_removal_requested(account_id, credential_no, removal_requested_at)
UPDATE credentials SET removal_requested_at = :removal_requested_at
WHERE account_id = :account_id AND credential_no = :credential_no AND removal_requested_at IS NULL;

-- name: set_custom_validity(account_id, uid, cluster_seq, hours, after_credential_no)
INSERT INTO custom_validities (account_id, uid, cluster_seq, hours, after_credential_no)
VALUES (:account_id, :uid, :cluster_seq, :hours, :after_credential_no)
ON CONFLICT (account_id, uid, cluster_seq) DO UPDATE
SET hours = excluded.hours, after_credential_no = excluded.after_credential_no;

-- name: find_custom_validity(account_id, uid, cluster_seq)
SELECT hours, after_credential_no FROM custom_validities
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq;

-- name: drop_custom_validity(account_id, uid, cluster_seq)
DELETE FROM custom_validities WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq;

-- name: list_holdings_of_cluster(account_id, cluster_seq)
SELECT h.uid, h.vouched_until, h.unvouched_until, h.unvouched_open, h.newest_removed_at, h.newest_not_after,
       h.trust_epoch, p.kind, p.disabled_at, p.deleted_at, n.name, n.display_name
FROM holdings AS h
JOIN principals AS p ON p.account_id = h.account_id AND p.uid = h.uid
LEFT JOIN personal_names AS n ON n.account_id = h.account_id AND n.uid = h.uid
WHERE h.account_id = :account_id AND h.cluster_seq = :cluster_seq
ORDER BY h.uid;

-- name: add_pending_issue(account_id, cluster_seq, cn, uid, signer_no, csr, sealed_key, life_seconds, temporary_minutes, begun_at)
INSERT INTO pending_issues (account_id, cluster_seq, cn, uid, signer_no, csr, sealed_key, life_seconds,
    temporary_minutes, begun_at)
VALUES (:account_id, :cluster_seq, :cn, :uid, :signer_no, :csr, :sealed_key, :life_seconds, :temporary_minutes,
    :begun_at);

-- name: find_pending_issue(account_id, cluster_seq, cn)
SELECT cn, uid, signer_no, csr, sealed_key, life_seconds, temporary_minutes, begun_at FROM pending_issues
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND cn = :cn;

-- name: list_pending_issues(account_id, cluster_seq)
SELECT cn, uid, signer_no, csr, sealed_key, life_seconds, temporary_minutes, begun_at FROM pending_issues
WHERE account_id = :account_id AND cluster_seq = :cluster_seq ORDER BY cn;

-- name: drop_pending_issue(account_id, cluster_seq, cn)
DELETE FROM pending_issues WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND cn = :cn;

-- name: list_sealed_pending_keys(account_id)
SELECT cluster_seq, cn, sealed_key FROM pending_issues WHERE account_id = :account_id;

-- name: set_sealed_pending_key(account_id, cluster_seq, cn, sealed_key)
UPDATE pending_issues SET sealed_key = :sealed_key
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND cn = :cn;
