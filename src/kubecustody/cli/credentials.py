"""`kubecustody find`, `kill` and `report`: credentials that the server knows, by file, fingerprint or facts."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from kubecustody.catalogue.credentials import (
    LIVE,
    MOST_CREDENTIALS,
    STATE_FILTERS,
    CredentialRow,
    DescribeCredentialOutput,
    RevokeCredentialOutput,
)
from kubecustody.cli.naming import find_cluster, find_uid, list_clusters
from kubecustody.cli.output import note, output_option, print_rows, say
from kubecustody.cli.remote import calling, remote_options
from kubecustody.cli.scanning import FAIL, parse_span
from kubecustody.client import ApiError, Client, Endpoint
from kubecustody.core.errors import OperatorError
from kubecustody.core.states import CertState
from kubecustody.core.times import format_time, parse_time
from kubecustody.kubeconfig.scanning import scan

_HEX = re.compile(r"(0x)?[0-9A-Fa-f]{1,64}|([0-9A-Fa-f]{2}:){1,31}[0-9A-Fa-f]{2}")
_FINGERPRINT_DIGITS = 64
_NAMED = 10
_COLUMNS = ["holder", "uid", "cluster", "state", "can_get_in", "expires", "removal_requested", "fingerprint"]
_REPORT_COLUMNS = [*_COLUMNS[:2], "holder_state", *_COLUMNS[2:-1], "masters", "origin", "fingerprint"]
_EVENT_COLUMNS = ["time", "event", "actor", "reason"]
_KILL_COLUMNS = ["holder", "uid", "cluster", "state", "changed", "prospect", "fingerprint"]


class Wanted(NamedTuple):
    """What is asked about. Of a file only the fingerprints of its certificates."""

    fingerprint: str = ""
    serial: str = ""
    told: str = ""


def read_wanted(what: str) -> list[Wanted]:
    """What a file, a fingerprint or a serial number names. A file wins over a number. Raises OperatorError."""
    path = Path(what)
    if path.is_file():
        return _wanted_of_file(path)
    if not _HEX.fullmatch(what):
        raise OperatorError(
            f"{what!r} is no file, and no fingerprint (64 hex digits) or serial number (fewer, as openssl prints it)."
        )
    digits = what.removeprefix("0x").replace(":", "").lower()
    if len(digits) == _FINGERPRINT_DIGITS:
        return [Wanted(fingerprint=digits, told=digits)]
    return [Wanted(serial=digits, told=f"serial number {digits}")]


def _wanted_of_file(path: Path) -> list[Wanted]:
    found: dict[str, Wanted] = {}
    for one in scan([path]):
        if one.unreadable is not None:
            raise OperatorError(f"{path}: {one.unreadable}")
        if one.certificate is not None:
            fingerprint = one.certificate.fingerprint_hex
            user = f", user {one.user}" if one.user else ""
            found.setdefault(fingerprint, Wanted(fingerprint, "", f"{fingerprint} ({path}{user})"))
    if not found:
        raise OperatorError(f"{path} holds no client certificate and no kubeconfig with one in it.")
    return list(found.values())


def list_all(client: Client, **filters: Any) -> Iterator[CredentialRow]:
    """Every credential that the filters leave, page by page."""
    token = ""
    while True:
        page = client.list_credentials(**filters, max_results=MOST_CREDENTIALS, next_token=token)
        yield from page.credentials
        if not isinstance(page.next_token, str):
            return
        if page.next_token == token:
            raise OperatorError("The server says again and again where to go on; nothing of its answer is told.")
        token = page.next_token


def _find_rows(client: Client, wanted: list[Wanted], cluster_id: str = "") -> tuple[list[CredentialRow], list[Wanted]]:
    """The credentials that are meant, and what is not known."""
    rows, unknown = [], []
    for one in wanted:
        found = list(list_all(client, fingerprint=one.fingerprint, serial=one.serial, cluster_id=cluster_id))
        rows += found
        if not found:
            unknown.append(one)
    return rows, unknown


def _tell_unknown(unknown: list[Wanted]) -> None:
    for one in unknown:
        note(f"Not known to this server: {one.told}.")


def _row(one: CredentialRow) -> dict[str, Any]:
    return {
        "holder": one.holder_name or None,
        "uid": one.uid or None,
        "holder_state": one.holder_state,
        "cluster": one.cluster_name,
        "cluster_id": one.cluster_id,
        "state": one.cert_state,
        "can_get_in": one.can_get_in,
        "expires": one.cert_expire_time or None,
        "masters": one.masters,
        "removal_requested": one.removal_requested_at,
        "removed": one.removed_at,
        "removed_by": one.removed_by or None,
        "origin": one.origin,
        "common_name": one.common_name,
        "serial": one.serial or None,
        "fingerprint": one.fingerprint or None,
    }


# --- find


@click.command("find")
@click.argument("what", metavar="FILE|FINGERPRINT|SERIAL")
@output_option
@remote_options
def find_command(endpoint: Endpoint, what: str, output: str) -> None:
    """Find whose a certificate is, in which clusters, whether it still gets in, and what happened to it.

    FILE is a kubeconfig or a certificate (PEM or DER): each client certificate in it is asked about. Only fingerprints
    leave this machine. A serial number is written in hex.

    Exit codes: 0 all are known, 1 the server answered an error, 2 a fault that the text explains, 3 one is not known.
    """
    wanted = read_wanted(what)
    with calling(endpoint) as client:
        rows, unknown = _find_rows(client, wanted)
        looked = [client.describe_credential(one.cluster_id, one.fingerprint) for one in rows if one.fingerprint]
    told = [{**_row(one), "why": one.cert_state_reason, "events": _events(one)} for one in looked]
    if told or output != "table":
        print_rows(told, [*_COLUMNS, "why"], output)
    if output == "table":
        for one in looked:
            say(f"\n{one.fingerprint} in {one.cluster_name}:")
            print_rows(_events(one), _EVENT_COLUMNS, output, empty="No events are known.")
    _tell_unknown(unknown)
    sys.exit(FAIL if unknown else 0)


def _events(one: DescribeCredentialOutput) -> list[dict[str, Any]]:
    return [
        {"time": event.at, "event": event.kind, "actor": event.actor, "reason": event.reason or None}
        for event in one.events
    ]


# --- kill


@click.command("kill")
@click.argument("what", metavar="FINGERPRINT|SERIAL|FILE")
@click.option("--reason", required=True, help="Why: it is kept with the event.")
@click.option("--cluster", metavar="CLUSTER", help="Only in this cluster (id or name).")
@click.option("--all", "every", is_flag=True, help="Every credential that is meant, where it is more than one.")
@click.option("--compromised", is_flag=True, help="Somebody else may have its key: it can never be restored.")
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@remote_options
def kill_command(
    endpoint: Endpoint,
    what: str,
    reason: str,
    cluster: str | None,
    every: bool,
    compromised: bool,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Ask the removal of one credential and of nothing else, after a look at what that leads to.

    The certificate is named by its fingerprint or serial number (hex), or by a kubeconfig or certificate file, of
    which only fingerprints leave this machine. One that several clusters know is a credential in each: say --cluster,
    or --all.

    Exit codes: 0 done, 1 the server answered an error, 2 a fault that the text explains, 3 it is not known, 130
    declined or interrupted.
    """
    if not reason.strip():
        raise OperatorError("--reason is blank: say why, since it is kept with the event.")
    wanted = read_wanted(what)
    with calling(endpoint) as client:
        cluster_id = find_cluster(client, cluster)[0] if cluster else ""
        rows, unknown = _find_rows(client, wanted, cluster_id)
        rows = [one for one in rows if one.fingerprint]
        if unknown or not rows:
            _tell_unknown(unknown)
            sys.exit(FAIL)
        if len(rows) > 1 and not every:
            _look_at(rows)
            raise OperatorError("Several credentials are meant; say which by --cluster or its fingerprint, or --all.")

        def revoke(*, dry: bool) -> list[RevokeCredentialOutput]:
            return [
                client.revoke_credential(one.cluster_id, one.fingerprint, reason, dry_run=dry, compromised=compromised)
                for one in rows
            ]

        if dry_run:
            _tell_revoked(rows, revoke(dry=True), output)
            return
        if not yes:
            _look_at(rows)
            for outlook in dict.fromkeys(answer.outlook for answer in revoke(dry=True)):
                note(outlook)
        confirm(f"Ask the removal of {_counted(len(rows), 'credential')}?", yes=yes)
        _tell_revoked(rows, revoke(dry=False), output)


def _look_at(rows: list[CredentialRow]) -> None:
    """What is meant, beside what a program reads."""
    for one in rows:
        who = f"{one.holder_name or 'no name'}, {one.uid}" if one.uid else "nobody as far as is known"
        end = one.cert_expire_time or "no end known"
        note(f"{one.fingerprint} in {one.cluster_name}: of {who}; {one.cert_state}, until {end}.")


def _tell_revoked(rows: list[CredentialRow], answers: list[RevokeCredentialOutput], output: str) -> None:
    told = [
        {**_row(row), "changed": answer.changed, "prospect": answer.prospect, "outlook": answer.outlook}
        for row, answer in zip(rows, answers, strict=True)
    ]
    print_rows(told, _KILL_COLUMNS, output)
    if output == "table":
        for outlook in dict.fromkeys(answer.outlook for answer in answers):
            say(outlook)


def confirm(question: str, *, yes: bool) -> None:
    """Ask whoever sits at the terminal; a no ends the command. Raises OperatorError where nobody does."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise OperatorError("Nobody can be asked here: say --yes to do it, or --dry-run to look at it alone.")
    click.confirm(question, abort=True, err=True)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# --- report


def _is_live(one: CredentialRow) -> bool:
    return one.cert_state in (CertState.UNEXPIRED, CertState.UNKNOWN)


_CONDITIONS: dict[str, Callable[[CredentialRow], bool]] = {
    "live": _is_live,
    "unknown": lambda one: one.cert_state == CertState.UNKNOWN,
    "masters": lambda one: one.masters and _is_live(one),
    "pending": lambda one: one.removal_requested_at is not None and _is_live(one),
}


@click.command("report")
@click.option("--user", metavar="WHO", help="Only of this user or role (uid, name or e-mail address).")
@click.option("--cluster", metavar="CLUSTER", help="Only in this cluster (id or name).")
@click.option(
    "--state",
    type=click.Choice([*STATE_FILTERS], case_sensitive=False),
    help="Only those in this state; Live: what may still get in.",
)
@click.option("--expires-within", metavar="SPAN", help="Only live ones that end within this span: 12h, 30d.")
@click.option("--deleted-holders", is_flag=True, help="Only those whose holder was deleted.")
@click.option("--at", metavar="TIME", help="As it was at this past time (RFC 3339), from the events.")
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    type=click.Choice([*_CONDITIONS]),
    help="Exit with 3 where a row is so; may be said several times. pending: live, though its removal is asked for.",
)
@output_option
@remote_options
def report_command(
    endpoint: Endpoint,
    user: str | None,
    cluster: str | None,
    state: str | None,
    expires_within: str | None,
    deleted_holders: bool,
    at: str | None,
    conditions: tuple[str, ...],
    output: str,
) -> None:
    """List credentials, one row for each, and say at the end what this list cannot see.

    Exit codes: 0 done, 1 the server answered an error, 2 a fault that the text explains, 3 a condition of --fail-if is
    met.
    """
    span = None if expires_within is None else parse_span(expires_within)
    begin = int(time.time()) if at is None else _moment(at)
    if span is not None and state not in (None, LIVE):
        raise OperatorError("--expires-within lists live credentials; leave --state out.")
    with calling(endpoint) as client:
        cluster_id = find_cluster(client, cluster)[0] if cluster else ""
        rows = list(
            list_all(
                client,
                uid=find_uid(client, user) if user else "",
                cluster_id=cluster_id,
                state=state or ("" if span is None else LIVE),
                expires_before="" if span is None else format_time(begin + span),
                deleted_holders=deleted_holders,
                at=at or "",
            )
        )
        blind = _blind_spots(client, rows, cluster_id)
    print_rows([_row(one) for one in rows], _REPORT_COLUMNS, output, empty="No credentials.")
    for text in blind:
        note(text)
    met = [name for name in conditions if any(_CONDITIONS[name](one) for one in rows)]
    if met:
        note(f"Met: {', '.join(met)}.")
        sys.exit(FAIL)


def _moment(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise OperatorError(f"--at: {error}.") from error


def _blind_spots(client: Client, rows: list[CredentialRow], cluster_id: str) -> list[str]:
    """What the report cannot see, in sentences."""
    texts = ["This lists what was issued or imported here; certificates made elsewhere and tokens are not seen."]
    try:
        found = list_clusters(client)
    except ApiError as error:
        texts.append(f"Which clusters were never observed cannot be told: {error.message}")
    else:
        clusters = [one for one in found if one.state != "deleted" and cluster_id in ("", one.cluster_id)]
        if unseen := [one.name for one in clusters if not one.current_version]:
            more = f" and {len(unseen) - _NAMED} more" if len(unseen) > _NAMED else ""
            count = _counted(len(unseen), "cluster")
            texts.append(
                f"Never observed, so that nothing is proved there: {count} ({', '.join(unseen[:_NAMED])}{more})."
            )
    if bare := sum(not one.fingerprint for one in rows):
        texts.append(f"Known by a record alone, without certificate: {_counted(bare, 'credential')}.")
    return texts
