"""Names and identifiers: what they may look like, and the sentence that says so where one does not.

Uids are digits only, so that a name is never mistaken for one: an all-digit name is refused. The first digit
tells the kind, as the provider's tools expect (1 account, 2 user, 3 role).
"""

import re
from enum import StrEnum

from kubecustody.core.errors import OperatorError

MAX_UID_LENGTH = 32

UID_PATTERN = "[0-9]{1,32}"
CLUSTER_ID_PATTERN = "c[0-9a-f]{32}"  # of the ids that are given here

_UID = re.compile(UID_PATTERN)
_LOGON_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_CLUSTER_NAME = re.compile(r"[^\W_][\w-]{0,62}")
_LIKE_OUR_IDS = re.compile(CLUSTER_ID_PATTERN)
_CLUSTER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
_POLICY_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,127}")


class PrincipalKind(StrEnum):
    """What kind of principal a uid belongs to."""

    ACCOUNT = "account"
    USER = "user"
    ROLE = "role"


class NameRefused(OperatorError):
    """A name or identifier that does not have the form it must have."""


def is_uid(text: str) -> bool:
    """Whether this is a uid: 1 to 32 ASCII digits."""
    return _UID.fullmatch(text) is not None


def check_logon_name(name: str) -> str:
    """The name of a user, role or group, unchanged. Raises NameRefused."""
    if not _LOGON_NAME.fullmatch(name) or name.isdigit():
        raise NameRefused(
            f"{name!r} cannot be a name: 1 to 64 letters, digits, '.', '_' or '-', and not digits alone "
            "(those are uids)."
        )
    return name


def check_email(email: str) -> str:
    """An e-mail address, unchanged: it has an @, so that it is never mistaken for a name. Raises NameRefused."""
    if not _EMAIL.fullmatch(email):
        raise NameRefused(f"{email!r} is no e-mail address: something@somewhere, without blanks.")
    return email


def check_account_name(name: str) -> str:
    """The name of an account, unchanged: as that of a user. Raises NameRefused."""
    return check_logon_name(name)


def looks_like_cluster_id(text: str) -> bool:
    """Whether this has the form of the ids that clusters are given: c and 32 hex digits."""
    return _LIKE_OUR_IDS.fullmatch(text) is not None


def check_cluster_name(name: str) -> str:
    """The name of a cluster, unchanged: the provider's rule (1 to 63; letters of any script). Raises NameRefused."""
    if looks_like_cluster_id(name):
        raise NameRefused(f"{name!r} cannot be a cluster's name: it looks like a cluster's id.")
    if not _CLUSTER_NAME.fullmatch(name):
        raise NameRefused(
            f"{name!r} cannot be a cluster's name: 1 to 63 letters, digits, '_' or '-', beginning with a letter "
            "or digit."
        )
    return name


def is_cluster_name(name: str) -> bool:
    """Whether it may be the name of a cluster."""
    return _CLUSTER_NAME.fullmatch(name) is not None and not looks_like_cluster_id(name)


def check_cluster_id(cluster_id: str) -> str:
    """The id of a cluster, unchanged. Raises NameRefused."""
    if not _CLUSTER_ID.fullmatch(cluster_id):
        raise NameRefused(
            f"{cluster_id!r} cannot be a cluster's id: 1 to 128 letters, digits, '.', '_' or '-', beginning with "
            "a letter or digit."
        )
    return cluster_id


def check_policy_name(name: str) -> str:
    """The name of a policy, unchanged: the provider's rule (1 to 128 letters, digits, '-'). Raises NameRefused."""
    if not _POLICY_NAME.fullmatch(name):
        raise NameRefused(f"{name!r} cannot be a policy's name: 1 to 128 letters, digits or '-'.")
    return name


def fold_name(name: str) -> str:
    """The form in which names are compared: without regard to case."""
    return name.casefold()
