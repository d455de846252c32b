"""Nobody grants more than they hold: judged in the cluster itself, rule by rule, where this server reaches it.

What somebody holds there is what all bindings of their current certificates' names and groups permit, as the roles are
at that moment, whoever made the bindings.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kubecustody.cluster.client import Cluster as Reached
from kubecustody.cluster.errors import ClusterError
from kubecustody.core.bindings import (
    CLUSTER_ROLE,
    ROLE_TEMPLATES,
    SeenBinding,
    bindings_that_reach,
    cluster_role_of,
)
from kubecustody.core.errors import GrantForbidden
from kubecustody.core.names import PrincipalKind
from kubecustody.core.permissions import Permission, check_is_granted
from kubecustody.core.rules import Rule, TooManyRules, find_uncovered
from kubecustody.custody.acts import Act
from kubecustody.custody.observing import open_cluster
from kubecustody.custody.rights import Roles
from kubecustody.pki.subjects import MASTERS_GROUP
from kubecustody.store.accesses import list_reached
from kubecustody.store.grants import list_subjects_of
from kubecustody.store.transactions import Transaction

_AT_ONCE = 8
_SHOWN = 10
_EVERYTHING: tuple[Rule, ...] = (
    {"verbs": ("*",), "apiGroups": ("*",), "resources": ("*",)},
    {"verbs": ("*",), "nonResourceURLs": ("*",)},
)


class _Place(NamedTuple):
    """A cluster that is reached, and as whom the grantor comes there: user name and groups of each certificate."""

    cluster_id: str
    reached: Reached
    subjects: Sequence[tuple[str, Sequence[str]]]


class _NotReadable(Exception):
    """What somebody holds in a cluster cannot be read, and why."""

    def __init__(self, cluster_id: str, text: str) -> None:
        super().__init__(text)
        self.cluster_id = cluster_id


async def prove_holding(act: Act, permissions: Iterable[Permission]) -> frozenset[Permission]:
    """Those of the permissions that are for clusters which this server reaches, each of which the caller holds there;
    what is for all clusters, in each that is reached.

    Raises GrantForbidden for what they do not hold, and where clusters cannot be asked.
    """
    wanted = frozenset(permissions)
    if act.caller.kind == PrincipalKind.ACCOUNT or not wanted:
        return frozenset()
    at = int(act.clock())
    places = await act.read(lambda tx: _find_places(act, tx, wanted, at))
    slots = asyncio.Semaphore(_AT_ONCE)

    async def judge(place: _Place) -> None:
        async with slots:
            await _judge(place, [one for one in wanted if one.cluster_id in ("", place.cluster_id)])

    told = await asyncio.gather(*map(judge, places), return_exceptions=True)
    for error in told:
        if error is not None and not isinstance(error, _NotReadable):
            raise error
    _refuse_unread([error for error in told if isinstance(error, _NotReadable)])
    judged = {place.cluster_id for place in places}
    return frozenset(one for one in wanted if one.cluster_id in judged or (not one.cluster_id and judged))


def _refuse_unread(unread: Sequence[_NotReadable]) -> None:
    if not unread:
        return
    named = "; ".join(f"{one.cluster_id}: {one}" for one in unread[:_SHOWN])
    more = f"; and {len(unread) - _SHOWN} more" if len(unread) > _SHOWN else ""
    raise GrantForbidden(
        f"whether the caller holds as much cannot be read in {named}{more} Only the account grants meanwhile."
    )


async def _find_places(act: Act, tx: Transaction, wanted: Iterable[Permission], at: int) -> list[_Place]:
    """Each cluster that the permissions are for, if it is reached."""
    named = {one.cluster_id for one in wanted}
    places = []
    for cluster in await list_reached(tx, act.account_id):
        if not named & {"", cluster.cluster_id}:
            continue
        reached = await open_cluster(act.custody, tx, act.account_id, cluster.seq)
        if reached is not None:
            found = await list_subjects_of(tx, act.account_id, act.caller.uid, cluster.seq, at)
            places.append(_Place(cluster.cluster_id, reached, [(name, json.loads(groups)) for name, groups in found]))
    return places


async def _judge(place: _Place, permissions: Sequence[Permission]) -> None:
    """Raise GrantForbidden for what the caller does not hold in a cluster, _NotReadable."""
    roles = Roles(place.reached)
    try:
        seen = await place.reached.list_bindings()
        for one in sorted(permissions):
            check_is_granted(one)
            held = await _held_rules(place, roles, seen, one.namespace)
            missing = find_uncovered(held, await _wanted_rules(place, roles, one))
            if missing is not None:
                raise GrantForbidden(
                    f"nobody grants more than they hold, and by the bindings of their kubeconfigs in "
                    f"{place.cluster_id} the caller may not {missing}, which is part of {one}."
                )
    except ClusterError as error:
        raise _NotReadable(place.cluster_id, str(error)) from error
    except TooManyRules as error:
        raise _NotReadable(place.cluster_id, "its rules are too many to be compared.") from error


async def _held_rules(place: _Place, roles: Roles, seen: Sequence[SeenBinding], namespace: str) -> list[Rule]:
    """What all bindings of the caller permit in a namespace; "": in the whole cluster."""
    held: list[Rule] = []
    for user, groups in place.subjects:
        if MASTERS_GROUP in groups:
            return [*_EVERYTHING]
        for binding, _ in bindings_that_reach(user, groups, seen):
            if binding.namespace in ("", namespace):
                held += await roles.find(binding.role_kind, binding.namespace, binding.role_name) or ()
    return held


async def _wanted_rules(place: _Place, roles: Roles, one: Permission) -> list[Rule]:
    """What a permission would give: by the role as it is, and by what a predefined one is meant to be."""
    meant = [] if one.is_custom else [*ROLE_TEMPLATES[one.role].rules]
    name = cluster_role_of(one.role, is_custom=one.is_custom)
    rules = await roles.find(CLUSTER_ROLE, "", name)
    if rules is None and one.is_custom:
        raise GrantForbidden(f"{place.cluster_id} has no ClusterRole {one.role}, so that what it gives is not known.")
    return [*(rules or ()), *meant]
