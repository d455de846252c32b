-- name: find_credential_by_fingerprint(account_id, cluster_seq, fingerprint)
SELECT credential_no, uid, cn, vouched_until, removed_at FROM credentials
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND fingerprint = :fingerprint;

-- name: list_credentials_by_serial(account_id, cluster_seq, serial)
SELECT k.credential_no FROM certificates AS c
JOIN credentials AS k ON k.account_id = c.account_id AND k.credential_no = c.credential_no
WHERE c.account_id = :account_id AND c.serial = :serial AND k.cluster_seq = :cluster_seq;

-- name: add_credential(account_id, credential_no, uid, cluster_seq, origin, fingerprint, cn, issued_at, not_before, not_after, vouched_until, trust_epoch, verdict, masters, recorded_at, signer_no, temporary_minutes, holders_key)
INSERT INTO credentials (account_id, credential_no, uid, cluster_seq, origin, signer_no, fingerprint, cn, issued_at,
    not_before, not_after, vouched_until, trust_epoch, verdict, masters, recorded_at, temporary_minutes, holders_key)
VALUES (:account_id, :credential_no, :uid, :cluster_seq, :origin, :signer_no, :fingerprint, :cn, :issued_at,
    :not_before, :not_after, :vouched_until, :trust_epoch, :verdict, :masters, :recorded_at, :temporary_minutes,
    :holders_key);

-- name: add_certificate(account_id, credential_no, chain, serial, organizations)
INSERT INTO certificates (account_id, credential_no, chain, serial, organizations)
VALUES (:account_id, :credential_no, :chain, :serial, :organizations);

-- name: set_chain(account_id, credential_no, chain)
UPDATE certificates SET chain = :chain WHERE account_id = :account_id AND credential_no = :credential_no;

-- name: add_private_key(account_id, credential_no, sealed, stored_at)
INSERT INTO private_keys (account_id, credential_no, sealed, stored_at, destroyed_at)
VALUES (:account_id, :credential_no, :sealed, :stored_at, NULL) ON CONFLICT DO NOTHING;

-- name: destroy_private_key(account_id, credential_no, destroyed_at)
UPDATE private_keys SET sealed = NULL, destroyed_at = :destroyed_at
WHERE account_id = :account_id AND credential_no = :credential_no AND sealed IS NOT NULL;

-- name: list_sealed_private_keys(account_id)
SELECT credential_no, sealed FROM private_keys WHERE account_id = :account_id AND sealed IS NOT NULL;

-- name: set_sealed_private_key(account_id, credential_no, sealed)
UPDATE private_keys SET sealed = :sealed WHERE account_id = :account_id AND credential_no = :credential_no;

-- name: list_credentials_of(account_id, uid, cluster_seq)
SELECT credential_no, issued_at, not_before, not_after, vouched_until, trust_epoch, verdict, masters, removed_at,
    removed_by, removal_requested_at
FROM credentials WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq;

-- name: list_chains_of_cluster(account_id, cluster_seq, after_credential_no, at_most)
SELECT k.credential_no, k.uid, k.removed_at, k.verdict, k.vouched_until, c.chain FROM credentials AS k
JOIN certificates AS c ON c.account_id = k.account_id AND c.credential_no = k.credential_no
WHERE k.account_id = :account_id AND k.cluster_seq = :cluster_seq AND k.credential_no > :after_credential_no
ORDER BY k.credential_no LIMIT :at_most;

-- name: set_verdict(account_id, credential_no, uid, vouched_until, trust_epoch, verdict, masters)
UPDATE credentials SET uid = :uid, vouched_until = :vouched_until, trust_epoch = :trust_epoch, verdict = :verdict,
    masters = :masters
WHERE account_id = :account_id AND credential_no = :credential_no;

-- name: set_holder(account_id, credential_no, uid)
UPDATE credentials SET uid = :uid WHERE account_id = :account_id AND credential_no = :credential_no;

-- name: set_holding(account_id, uid, cluster_seq, vouched_until, unvouched_until, unvouched_open, newest_removed_at, newest_not_after, trust_epoch)
INSERT INTO holdings (account_id, uid, cluster_seq, vouched_until, unvouched_until, unvouched_open,
    newest_removed_at, newest_not_after, trust_epoch)
VALUES (:account_id, :uid, :cluster_seq, :vouched_until, :unvouched_until, :unvouched_open,
    :newest_removed_at, :newest_not_after, :trust_epoch)
ON CONFLICT (account_id, uid, cluster_seq) DO UPDATE SET
    vouched_until = excluded.vouched_until, unvouched_until = excluded.unvouched_until,
    unvouched_open = excluded.unvouched_open, newest_removed_at = excluded.newest_removed_at,
    newest_not_after = excluded.newest_not_after, trust_epoch = excluded.trust_epoch;

-- name: add_to_holding(account_id, uid, cluster_seq, vouched_until, unvouched_until, unvouched_open, newest_removed_at, newest_not_after, trust_epoch, issued_at)
-- What one more credential adds. Where another one is newer, or the rest was judged by another trust epoch, nothing.
INSERT INTO holdings (account_id, uid, cluster_seq, vouched_until, unvouched_until, unvouched_open,
    newest_removed_at, newest_not_after, trust_epoch)
VALUES (:account_id, :uid, :cluster_seq, :vouched_until, :unvouched_until, :unvouched_open,
    :newest_removed_at, :newest_not_after, :trust_epoch)
ON CONFLICT (account_id, uid, cluster_seq) DO UPDATE SET
    vouched_until = CASE WHEN excluded.vouched_until IS NULL OR holdings.vouched_until > excluded.vouched_until
        THEN holdings.vouched_until ELSE excluded.vouched_until END,
    unvouched_until = CASE WHEN excluded.unvouched_until IS NULL OR holdings.unvouched_until > excluded.unvouched_until
        THEN holdings.unvouched_until ELSE excluded.unvouched_until END,
    unvouched_open = holdings.unvouched_open + excluded.unvouched_open,
    newest_removed_at = excluded.newest_removed_at, newest_not_after = excluded.newest_not_after
WHERE holdings.trust_epoch = excluded.trust_epoch AND NOT EXISTS (
    SELECT 1 FROM credentials AS c WHERE c.account_id = :account_id AND c.uid = :uid AND c.cluster_seq = :cluster_seq
        AND c.issued_at > :issued_at
);

-- name: drop_holding(account_id, uid, cluster_seq)
DELETE FROM holdings WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq;

-- name: count_live_in_cluster(account_id, cluster_seq, now)
SELECT COUNT(*) FROM credentials
WHERE account_id = :account_id AND cluster_seq = :cluster_seq AND removed_at IS NULL
    AND (not_after IS NULL OR not_after >= :now);

-- name: list_credentials_in_cluster(account_id, cluster_seq, after_credential_no, at_most)
SELECT k.credential_no, k.uid, k.fingerprint, k.cn, k.not_before, k.not_after, k.vouched_until, k.trust_epoch,
    k.verdict, k.masters, k.removed_at, k.removed_by, k.removal_requested_at, k.issued_at, k.origin
FROM credentials AS k
WHERE k.account_id = :account_id AND k.cluster_seq = :cluster_seq AND k.credential_no > :after_credential_no
ORDER BY k.credential_no LIMIT :at_most;

-- name: count_removals_of(account_id, credential_no)
SELECT COUNT(*) FROM removals WHERE account_id = :account_id AND credential_no = :credential_no;

-- name: add_removal(account_id, credential_no, removal_no, kind, actor, reason, evidence, occurred_at)
INSERT INTO removals (account_id, credential_no, removal_no, kind, actor, reason, evidence, occurred_at)
VALUES (:account_id, :credential_no, :removal_no, :kind, :actor, :reason, :evidence, :occurred_at);

-- name: find_newest_removal(account_id, credential_no)
SELECT kind, actor, reason, evidence, occurred_at FROM removals
WHERE account_id = :account_id AND credential_no = :credential_no ORDER BY removal_no DESC LIMIT 1;

-- name: set_removed(account_id, credential_no, removed_at, removed_by, removal_requested_at)
UPDATE credentials SET removed_at = :removed_at, removed_by = :removed_by,
    removal_requested_at = :removal_requested_at
WHERE account_id = :account_id AND credential_no = :credential_no;

-- name: list_unended_in(account_id, uid, cluster_seq, now, at_most)
-- What may still be good: what is vouched for first, then what ends last. Never the dead that pile up.
SELECT cluster_seq, credential_no, issued_at, not_before, not_after, vouched_until, trust_epoch, verdict, masters,
    removed_at, removed_by, removal_requested_at, fingerprint, cn, origin
FROM credentials
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq AND not_after >= :now
    AND (removed_by IS NULL OR removed_by = 'attested')
ORDER BY removed_at IS NOT NULL, vouched_until IS NULL, masters DESC, not_after DESC LIMIT :at_most;

-- name: list_open_ended_in(account_id, uid, cluster_seq, at_most)
SELECT cluster_seq, credential_no, issued_at, not_before, not_after, vouched_until, trust_epoch, verdict, masters,
    removed_at, removed_by, removal_requested_at, fingerprint, cn, origin
FROM credentials
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq AND not_after IS NULL
    AND (removed_by IS NULL OR removed_by = 'attested')
ORDER BY credential_no LIMIT :at_most;

-- name: count_live_of(account_id, uid, cluster_seq, now)
SELECT COUNT(*) FROM credentials
WHERE account_id = :account_id AND uid = :uid AND cluster_seq = :cluster_seq AND not_after >= :now
    AND removed_at IS NULL;
