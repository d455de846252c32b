"""How the commands for clusters tell a report."""

from kubecustody.catalogue.registering import ClusterReportOutput
from kubecustody.cli.output import printable, say


def tell_report(name: str, report: ClusterReportOutput) -> bool:
    """Say what was found in a cluster; whether all is well."""
    say(f"{printable(name)}" + (f" ({report.cluster_id})" if report.cluster_id else ""))
    for finding in report.findings:
        say(f"  {'ok ' if finding.ok else 'NO '} {finding.what}: {printable(finding.text)}")
    return report.ok
