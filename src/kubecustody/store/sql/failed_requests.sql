-- The last failed requests of each account whose signature held.

-- name: find_newest_failed_request(account_id)
SELECT number FROM failed_requests WHERE account_id = :account_id ORDER BY number DESC LIMIT 1;

-- name: add_failed_request(account_id, number, request_id, failed_at, caller, operation, method, path, code, message)
INSERT INTO failed_requests (account_id, number, request_id, failed_at, caller, operation, method, path, code, message)
VALUES (:account_id, :number, :request_id, :failed_at, :caller, :operation, :method, :path, :code, :message);

-- name: find_failed_request(account_id, request_id)
SELECT request_id, failed_at, caller, operation, method, path, code, message FROM failed_requests
WHERE account_id = :account_id AND request_id = :request_id;

-- name: forget_failed_requests_up_to(account_id, number)
DELETE FROM failed_requests WHERE account_id = :account_id AND number <= :number;

-- name: forget_failed_requests_before(account_id, since)
DELETE FROM failed_requests WHERE account_id = :account_id AND failed_at < :since;
