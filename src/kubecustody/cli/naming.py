"""What people call users and clusters, and the ids that operations take."""

from itertools import count

from kubecustody.catalogue.clusters import ListedCluster
from kubecustody.client import ApiError, Client
from kubecustody.core.errors import OperatorError
from kubecustody.core.names import is_uid, looks_like_cluster_id

_PAGE_SIZE = 100


def find_uid(client: Client, who: str) -> str:
    """The uid of the user or role of this uid, name or e-mail address. Raises ApiError."""
    return who if is_uid(who) else client.describe_user(who).uid


def find_cluster(client: Client, cluster: str) -> tuple[str, bool]:
    """The id of the cluster of this name, and whether the caller may list clusters.

    What is no name that the caller may see is taken for an id.
    """
    if looks_like_cluster_id(cluster):
        return cluster, True  # no cluster can be called so
    try:
        found = list_clusters(client, name=cluster)
    except ApiError as error:
        if error.code != "StatusForbidden":
            raise
        return cluster, False
    alive = [one.cluster_id for one in found if one.name == cluster and one.state != "deleted"]
    if len(alive) > 1:
        raise OperatorError(f"Several clusters are called {cluster}; say which by its id: {', '.join(alive)}.")
    return alive[0] if alive else cluster, True


def list_clusters(client: Client, *, name: str = "", detail: bool = False) -> list[ListedCluster]:
    """Every cluster that has this in its name, also those that are deleted and still listed."""
    found: list[ListedCluster] = []
    for number in count(1):
        page = client.describe_clusters_v1(name=name, page_number=number, page_size=_PAGE_SIZE, detail=detail)
        found += page.clusters
        if len(page.clusters) < _PAGE_SIZE:
            break
    return found
