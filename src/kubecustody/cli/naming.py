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
        alive = [one.cluster_id for one in list_clusters(client, cluster) if one.name == cluster]
    except ApiError as error:
        if error.code != "StatusForbidden":
            raise
        return cluster, False
    if len(alive) > 1:
        raise OperatorError(f"Several clusters are called {cluster}; say which by its id: {', '.join(alive)}.")
    return alive[0] if alive else cluster, True


def list_clusters(client: Client, part: str = "") -> list[ListedCluster]:
    """Every cluster that is not deleted and has this in its name."""
    found: list[ListedCluster] = []
    for number in count(1):
        page = client.describe_clusters_v1(name=part, page_number=number, page_size=_PAGE_SIZE)
        found += (one for one in page.clusters if one.state != "deleted")
        if len(page.clusters) < _PAGE_SIZE:
            break
    return found
