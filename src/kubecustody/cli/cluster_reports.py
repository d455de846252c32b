"""What the commands for clusters share: listing them, and telling reports."""

from kubecustody.catalogue.clusters import ListedCluster
from kubecustody.catalogue.registering import ClusterReportOutput
from kubecustody.cli.output import printable, say
from kubecustody.client import Client

_PAGE_SIZE = 100


def list_clusters(client: Client) -> list[ListedCluster]:
    """Every cluster of the account, in detail."""
    found: list[ListedCluster] = []
    number = 1
    while page := client.describe_clusters_v1(page_number=number, page_size=_PAGE_SIZE, detail=True).clusters:
        found += page
        number += 1
    return found


def tell_report(name: str, report: ClusterReportOutput) -> bool:
    """Say what was found in a cluster; whether all is well."""
    say(f"{printable(name)}" + (f" ({report.cluster_id})" if report.cluster_id else ""))
    for finding in report.findings:
        say(f"  {'ok ' if finding.ok else 'NO '} {finding.what}: {printable(finding.text)}")
    return report.ok
