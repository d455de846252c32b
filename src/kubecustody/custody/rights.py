"""What roles permit in a cluster, read there as they are."""

from kubecustody.cluster.client import Cluster as Reached
from kubecustody.core.rules import Rule


class Roles:
    """The roles of one cluster; each is read once."""

    def __init__(self, reached: Reached) -> None:
        self._reached = reached
        self._known: dict[tuple[str, str, str], tuple[Rule, ...] | None] = {}

    async def find(self, role_kind: str, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """The rules of a ClusterRole, or of a Role in a namespace; None where there is none. Raises ClusterError."""
        key = (role_kind, namespace, name)
        if key not in self._known:
            self._known[key] = await self._reached.get_role_rules(role_kind, namespace, name)
        return self._known[key]
