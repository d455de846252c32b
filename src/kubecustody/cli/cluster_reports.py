"""How the commands for clusters tell a report and a plan."""

from collections.abc import Iterable

from kubecustody.catalogue.registering import ClusterFinding, ClusterReportOutput, ManageClusterOutput
from kubecustody.cli.output import printable, say


def tell_report(name: str, report: ClusterReportOutput) -> bool:
    """Say what was found in a cluster; whether all is well."""
    say(f"{printable(name)}" + (f" ({report.cluster_id})" if report.cluster_id else ""))
    tell_findings(report.findings)
    return report.ok


def tell_findings(findings: Iterable[ClusterFinding]) -> None:
    """Say what was looked at, a line for each."""
    for finding in findings:
        say(f"  {'ok ' if finding.ok else 'NO '} {finding.what}: {printable(finding.text)}")


def tell_plan(plan: ManageClusterOutput) -> None:
    """Say what managing would change, a line for each."""
    for step in plan.steps:
        who = ", ".join(step.subjects)
        say(printable(f"{step.what} {step.binding} ({step.role})" + (f": {who}" if who else "")))
    if not plan.steps:
        say("Nothing is to be changed.")
