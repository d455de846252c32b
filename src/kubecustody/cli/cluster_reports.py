"""What the commands for clusters share: calls whose errors are told, and reports as text."""

import sys

from kubecustody.catalogue.registering import ClusterReportOutput
from kubecustody.cli.output import note, printable, say
from kubecustody.client import ApiError, Client, Endpoint


def tell_report(name: str, report: ClusterReportOutput) -> bool:
    """Say what was found in a cluster; whether all is well."""
    say(f"{printable(name)}" + (f" ({report.cluster_id})" if report.cluster_id else ""))
    for finding in report.findings:
        say(f"  {'ok ' if finding.ok else 'NO '} {finding.what}: {printable(finding.text)}")
    return report.ok


class calling:  # noqa: N801 - reads as a verb where it is used
    """A client whose errors of the server are told, with exit code 1."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._client = Client(endpoint)

    def __enter__(self) -> Client:
        return self._client

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._client.close()
        if isinstance(error, ApiError):
            note(printable(str(error)))
            sys.exit(1)
