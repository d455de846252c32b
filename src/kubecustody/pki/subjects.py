"""What the subject of a client certificate says about its holder."""

import re
from collections.abc import Iterable

USERS_GROUP = "system:users"
MASTERS_GROUP = "system:masters"
KUBEADM_ADMINS_GROUP = "kubeadm:cluster-admins"

UID_WITH_SUFFIX = re.compile(r"([0-9]+)(-[0-9]+)?")


def parse_common_name(common_name: str) -> str | None:
    """The uid that a CN of the form `{uid}` or `{uid}-{suffix}` names, or None for any other CN.

    ASCII digits only, as the provider's own tools match it. It names a holder only once the chain holds.
    """
    match = UID_WITH_SUFFIX.fullmatch(common_name)
    return match.group(1) if match else None


def remarkable_groups(organizations: Iterable[str]) -> tuple[str, ...]:
    """The groups that reach beyond a person's own rights, each once, in order.

    system:masters passes every authorizer, kubeadm:cluster-admins is bound to cluster-admin by kubeadm, and
    any other system:* group but system:users belongs to a part of Kubernetes.
    """
    return tuple(dict.fromkeys(group for group in organizations if _is_remarkable(group)))


def _is_remarkable(group: str) -> bool:
    return group == KUBEADM_ADMINS_GROUP or (group.startswith("system:") and group != USERS_GROUP)
