"""The data that every alternative of the benchmark is loaded with, as plain records."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

CLUSTER_STATES = ("running",) * 17 + ("updating", "stopped", "scaling")
# Days from now until the end of a certificate, and whole days of its validity; none ends during a run.
LIVES = ((700, 1095), (40, 1095), (1000, 1095), (-20, 365), (300, 365), (-400, 1095))

READ_ONLY_POLICY = json.dumps(
    {
        "Version": "1",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": [
                    "cs:CheckServiceRole",
                    "cs:CheckControlPlaneLogEnable",
                    "cs:Get*",
                    "cs:List*",
                    "cs:Query*",
                    "cs:Describe*",
                ],
                "Resource": "*",
            }
        ],
    }
)


class ClusterRecord(NamedTuple):
    """One cluster; `state` is the provider's word."""

    cluster_id: str
    name: str
    state: str


class CredentialRecord(NamedTuple):
    """One certificate of the user; `cluster` is an index into the clusters. Whole seconds, UTC."""

    cluster: int
    not_before: datetime
    not_after: datetime


class Fleet(NamedTuple):
    """One account with its clusters in order of creation, and one user with credentials and a policy."""

    account_id: str
    clusters: tuple[ClusterRecord, ...]
    user_uid: str
    user_name: str
    access_key_id: str
    access_key_secret: str
    policy_name: str
    policy_document: str
    credentials: tuple[CredentialRecord, ...]


def fleet(clusters: int, credentials: int) -> Fleet:
    """A fleet that differs between calls in its times only; at most one credential a cluster, evenly spread."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Fleet(
        account_id="1000000000000001",
        clusters=tuple(_cluster(number) for number in range(clusters)),
        user_uid="200000000000000001",
        user_name="li.na",
        access_key_id="LTAI5tBenchmarkKey0001",
        access_key_secret=_digest("secret")[:30],
        policy_name="AliyunCSReadOnlyAccess",
        policy_document=READ_ONLY_POLICY,
        credentials=tuple(_credential(number * clusters // credentials, now) for number in range(credentials)),
    )


def _cluster(number: int) -> ClusterRecord:
    state = CLUSTER_STATES[number % len(CLUSTER_STATES)]
    return ClusterRecord("c" + _digest(f"cluster {number}")[:32], f"payments-{number:05}", state)


def _credential(cluster: int, now: datetime) -> CredentialRecord:
    days_left, days_valid = LIVES[cluster % len(LIVES)]
    not_after = now + timedelta(days=days_left, seconds=cluster)
    return CredentialRecord(cluster, not_after - timedelta(days=days_valid), not_after)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
