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
from kubecustody.store.clusters import find_cluster
from kubecustody.store.grants import list_subjects_of
from kubecustody.store.transactions import Transaction

_AT_ONCE = 8
_EVERYTHING: tuple[Rule, ...] = (
    {"verbs": ("*",), "apiGroups": ("*",), "resources": ("*",)},
    {"verbs": ("*",), "nonResourceURLs": ("*",)},
)


class _Place(NamedTuple):
    """A cluster that is reached, and as whom the grantor comes there: user name and groups of each certificate."""

    cluster_id: str
    reached: Reached
    subjects: Sequence[tuple[str, Sequence[str]]]


async def prove_holding(act: Act, permissions: Iterable[Permission]) -> frozenset[Permission]:
    """Those of the permissions that are for clusters which this server reaches, each of which the caller holds there.

    Raises GrantForbidden for what they do not hold, and where a cluster cannot be asked.
    """
    wanted: dict[str, list[Permission]] = {}
    for one in permissions:
        if one.cluster_id:
            wanted.setdefault(one.cluster_id, []).append(one)
    if act.caller.kind == PrincipalKind.ACCOUNT or not wanted:
        return frozenset()
    at = int(act.clock())
    places = await act.read(lambda tx: _find_places(act, tx, sorted(wanted), at))
    slots = asyncio.Semaphore(_AT_ONCE)

    async def judge(place: _Place) -> None:
        async with slots:
            await _judge(place, wanted[place.cluster_id])

    for error in await asyncio.gather(*map(judge, places), return_exceptions=True):
        if error is not None:
            raise error
    return frozenset(one for place in places for one in wanted[place.cluster_id])


async def _find_places(act: Act, tx: Transaction, cluster_ids: Sequence[str], at: int) -> list[_Place]:
    places = []
    for cluster_id in cluster_ids:
        cluster = await find_cluster(tx, act.account_id, cluster_id)
        reached = await open_cluster(act.custody, tx, act.account_id, cluster.seq) if cluster else None
        if cluster is not None and reached is not None:
            found = await list_subjects_of(tx, act.account_id, act.caller.uid, cluster.seq, at)
            places.append(_Place(cluster_id, reached, [(name, json.loads(groups)) for name, groups in found]))
    return places


async def _judge(place: _Place, permissions: Sequence[Permission]) -> None:
    roles = Roles(place.reached)
    try:
        seen = await place.reached.list_bindings()
        for one in sorted(permissions):
            check_is_granted(one)
            held = await _held_rules(place, roles, seen, one.namespace)
            missing = find_uncovered(held, await _wanted_rules(roles, one))
            if missing is not None:
                raise GrantForbidden(
                    f"nobody grants more than they hold, and by the bindings of their kubeconfigs in {one.cluster_id} "
                    f"the caller may not {missing}, which is part of {one}."
                )
    except ClusterError as error:
        raise GrantForbidden(
            f"whether the caller holds as much in {place.cluster_id} cannot be read there; only the account grants "
            f"meanwhile. {error}"
        ) from error
    except TooManyRules as error:
        raise GrantForbidden(f"the rules in {place.cluster_id} are too many to be compared.") from error


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


async def _wanted_rules(roles: Roles, one: Permission) -> list[Rule]:
    """What a permission would give: by the role as it is, and by what a predefined one is meant to be."""
    meant = [] if one.is_custom else [*ROLE_TEMPLATES[one.role].rules]
    name = cluster_role_of(one.role, is_custom=one.is_custom)
    rules = await roles.find(CLUSTER_ROLE, "", name)
    if rules is None and one.is_custom:
        raise GrantForbidden(f"{one.cluster_id} has no ClusterRole {one.role}, so that what it gives is not known.")
    return [*(rules or ()), *meant]
