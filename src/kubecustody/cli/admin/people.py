"""Users, roles, groups and their access keys."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from kubecustody.cli.expectations import read_policy_file
from kubecustody.cli.files import read_bytes
from kubecustody.cli.machine import Machine, pass_machine, reason_option
from kubecustody.cli.output import (
    check_can_tell_secret,
    note,
    output_option,
    print_rows,
    say,
    tell_secret,
    time_or_none,
)
from kubecustody.cli.profiles import ProfileFile
from kubecustody.core.errors import OperatorError
from kubecustody.core.names import PrincipalKind
from kubecustody.core.people import Person, parse_people
from kubecustody.core.times import format_time
from kubecustody.custody import leaving, principals, sessions

_LARGEST_CSV_BYTES = 16 * 2**20
# All are one transaction, for which every other writer waits: these take a second or two.
_MOST_PEOPLE = 20_000
_OUT = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="New file for the secret (0600).")


def _principal_commands(group: click.Group, kind: PrincipalKind) -> None:
    """The same commands for users and for roles."""

    @group.command("list")
    @output_option
    @pass_machine
    def list_command(machine: Machine, output: str) -> None:
        """List them, deleted ones included."""
        rows = [
            {
                "uid": one.uid,
                "name": one.name,
                "display_name": one.display_name,
                "state": "Deleted" if one.deleted_at else "InActive" if one.disabled_at else "Active",
                "created_at": time_or_none(one.created_at),
            }
            for one in machine.look(principals.list_principals, kind)
        ]
        print_rows(rows, ["uid", "name", "display_name", "state", "created_at"], output, empty=f"No {kind}s.")

    @group.command("add")
    @click.argument("name")
    @click.option("--display-name", default="", help="Defaults to the name.")
    @click.option("--email")
    @click.option("--uid", metavar="DIGITS", help="Made up unless given.")
    @click.option(
        "--profile",
        "profile_file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Also make an access key, as the profile NAME of this file of the SDKs (0600; others in it stay).",
    )
    @pass_machine
    def add_command(
        machine: Machine, name: str, display_name: str, email: str | None, uid: str | None, profile_file: Path | None
    ) -> None:
        """Add one; prints the uid."""
        if profile_file is not None:
            person = Person(0, name, display_name, email or "", uid or "")
            say(_add_with_profile(machine, kind, person, ProfileFile(profile_file)))
            return
        say(
            machine.change(
                principals.add_principal, kind=kind, name=name, display_name=display_name, email=email, uid=uid
            )
        )

    @group.command("disable")
    @click.argument("who")
    @pass_machine
    def disable_command(machine: Machine, who: str) -> None:
        """Disable: every key of WHO (uid, name or e-mail) is refused from its next request on."""
        uid = machine.change(principals.set_principal_disabled, who, disabled=True)
        say(f"{uid} is disabled. What it holds on clusters is untouched.")

    @group.command("enable")
    @click.argument("who")
    @pass_machine
    def enable_command(machine: Machine, who: str) -> None:
        """Enable WHO (uid, name or e-mail) again."""
        say(f"{machine.change(principals.set_principal_disabled, who, disabled=False)} is enabled.")

    @group.command("delegate")
    @click.argument("who")
    @click.option("--take-back", is_flag=True, help="End the delegation.")
    @reason_option
    @pass_machine
    def delegate_command(machine: Machine, who: str, take_back: bool, reason: str) -> None:
        """Let WHO make calls that only the account may, each named outright by a policy that allows it."""
        uid = machine.change(principals.set_delegated_admin, who, delegated=not take_back, reason=reason)
        say(f"{uid} is {'no longer ' if take_back else ''}a delegated administrator.")

    @group.command("delete")
    @click.argument("who")
    @click.option("--clean", is_flag=True, help="Also ask the removal of all that it holds, and end its permissions.")
    @click.option("--keep-access", is_flag=True, help="Delete it although it may still get into clusters.")
    @click.option("--reason", default="", help="Why; it is kept with the events.")
    @pass_machine
    def delete_command(machine: Machine, who: str, clean: bool, keep_access: bool, reason: str) -> None:
        """Delete WHO (uid, name or e-mail) and their access keys; the uid is never used again.

        Who may still get into a cluster is deleted only with --clean or --keep-access: what it holds is told first.
        """
        _delete(machine, who, clean=clean, keep_access=keep_access, reason=reason)


def _add_with_profile(machine: Machine, kind: PrincipalKind, person: Person, profiles: ProfileFile) -> str:
    profiles.check_new(person.name)
    key = machine.change(principals.add_principal_with_key, kind=kind, person=person)
    try:
        profiles.add(person.name, key.access_key_id, key.secret, machine.settings.public_url)
    except OperatorError as error:
        raise OperatorError(
            f"{error} {key.uid} is added, and the secret of {key.access_key_id} is lost: "
            f"`kubecustody admin keys rotate {key.access_key_id} --disable-old` makes another."
        ) from error
    note(f"Its access key {key.access_key_id} is the profile {person.name} of {profiles.path}.")
    return key.uid


def _delete(machine: Machine, who: str, *, clean: bool, keep_access: bool, reason: str) -> None:
    if clean and keep_access:
        raise OperatorError("Say either --clean or --keep-access.")
    departure = machine.look(leaving.look_at_departure, who, time.time())
    if departure.held:
        note(f"{departure.uid} may get in with:")
        _note_held(departure.held)
    if departure.roles:
        note(f"It is permitted: {', '.join(departure.roles)}.")
    if clean:
        done = machine.change(leaving.delete_and_clean, who, reason=reason)
        what = f"The removal of what it held ({done.asked} credentials) is asked"
        if done.closed:
            note(f"Nothing can be asked in clusters of this state: {', '.join(done.closed)}.")
    else:
        use_case = principals.delete_principal if keep_access else leaving.delete_powerless
        machine.change(use_case, who, reason=reason)
        what = "What it holds on clusters lives on" if departure.held else "What it held on clusters is listed still"
    say(f"{departure.uid} is deleted. {what}: see ListUserKubeConfigStates Uid={departure.uid}.")


def _note_held(held: Sequence[leaving.Held]) -> None:
    for one in held:
        end = f"until {format_time(one.not_after)}" if one.not_after is not None else "without a known end"
        asked = ", its removal is asked" if one.removal_requested else ""
        note(f"  {one.cluster_name} ({one.cluster_id}): {one.state} {end}, {one.common_name}{asked}")


@click.group("users")
def users_group() -> None:
    """Users."""


@click.group("roles")
def roles_group() -> None:
    """Roles."""


_principal_commands(users_group, PrincipalKind.USER)
_principal_commands(roles_group, PrincipalKind.ROLE)


@users_group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE.csv")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and add nobody.")
@output_option
@pass_machine
def import_users_command(machine: Machine, file: Path, dry_run: bool, output: str) -> None:
    """Add the users of a CSV file: all of them, or none, with every fault and its line.

    The first line names the columns: name, and any of display_name, email, uid. Whoever is a user already, just so,
    stays as they are, so the same file may be imported again.
    """
    people = parse_people(read_bytes(file, _LARGEST_CSV_BYTES, cure="Import it in parts."))
    if len(people) > _MOST_PEOPLE:
        raise OperatorError(f"{file} has {len(people):,} people; {_MOST_PEOPLE:,} at once. Import it in parts.")
    if dry_run:
        users = machine.look(principals.check_import, people)
    else:
        users = machine.change(principals.import_users, people)
    new = "would be added" if dry_run else "added"
    rows = [
        {
            "line": user.person.line,
            "uid": user.uid or None,
            "name": user.person.name,
            "email": user.person.email or None,
            "outcome": "is there already" if user.known else new,
        }
        for user in users
    ]
    print_rows(rows, ["line", "uid", "name", "email", "outcome"], output, empty="Nobody.")
    note(f"{sum(not user.known for user in users)} {new}, {sum(user.known for user in users)} there already.")


# --- sessions of roles


class _Duration(click.ParamType[int]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number, unit = str(value)[:-1], str(value)[-1:]
        if not (number.isascii() and number.isdecimal() and unit in _UNITS):
            self.fail(f"{value!r} is no duration; write it as 15m or 12h.", param, ctx)
        return int(number) * _UNITS[unit]


_UNITS = {"m": 60, "h": 3600}


@roles_group.command("session")
@click.argument("role")
@click.option("--duration", type=_Duration(), default="1h", show_default=True, help="15m to 12h.")
@click.option("--name", default="cli", show_default=True, help="How events name the session.")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of a policy that narrows what the role may do.",
)
@_OUT
@reason_option
@pass_machine
def session_command(
    machine: Machine, role: str, duration: int, name: str, policy_file: Path | None, out: Path | None, reason: str
) -> None:
    """Begin a session of ROLE: a temporary access key with its security token."""
    check_can_tell_secret(out)
    policy = read_policy_file(policy_file) if policy_file else ""
    begun = machine.change(sessions.begin_session, role, name=name, seconds=duration, policy=policy, reason=reason)
    tell_secret(
        {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": begun.session.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": begun.session.secret,
            "ALIBABA_CLOUD_SECURITY_TOKEN": begun.token,
            "KUBECUSTODY_ENDPOINT": machine.settings.public_url,
        },
        out,
    )
    note(f"A session of {begun.session.uid} until {format_time(begun.session.ends_at)}; it is shown this once.")


@roles_group.command("end-sessions")
@click.argument("role")
@reason_option
@pass_machine
def end_sessions_command(machine: Machine, role: str, reason: str) -> None:
    """End every session of ROLE that was begun until now."""
    uid = machine.change(sessions.end_sessions, role, reason=reason)
    say(f"Every session of {uid} that was begun until now is ended.")


# --- groups


@click.group("groups")
def groups_group() -> None:
    """Groups of users and roles: a policy attached to a group counts for its members."""


@groups_group.command("list")
@output_option
@pass_machine
def list_groups_command(machine: Machine, output: str) -> None:
    """List the groups."""
    rows = [
        {"name": name, "members": members, "created_at": time_or_none(created_at)}
        for name, created_at, members in machine.look(principals.list_groups)
    ]
    print_rows(rows, ["name", "members", "created_at"], output, empty="No groups.")


@groups_group.command("add")
@click.argument("name")
@pass_machine
def add_group_command(machine: Machine, name: str) -> None:
    """Add a group."""
    machine.change(principals.add_group, name)
    say(f"Added the group {name}.")


@groups_group.command("delete")
@click.argument("name")
@pass_machine
def delete_group_command(machine: Machine, name: str) -> None:
    """Delete a group; its policies count for nobody any more."""
    machine.change(principals.delete_group, name)
    say(f"Deleted the group {name}.")


@groups_group.command("join")
@click.argument("who")
@click.argument("group")
@pass_machine
def join_group_command(machine: Machine, who: str, group: str) -> None:
    """Put WHO (uid, name or e-mail) into GROUP."""
    changed = machine.change(principals.set_membership, who, group, member=True)
    say(f"{who} is in {group}." if changed else f"{who} was in {group} already.")


@groups_group.command("leave")
@click.argument("who")
@click.argument("group")
@pass_machine
def leave_group_command(machine: Machine, who: str, group: str) -> None:
    """Take WHO (uid, name or e-mail) out of GROUP."""
    changed = machine.change(principals.set_membership, who, group, member=False)
    say(f"{who} is no longer in {group}." if changed else f"{who} was not in {group}.")


# --- access keys


@click.group("keys")
def keys_group() -> None:
    """Access keys."""


@keys_group.command("list")
@click.option("--user", "--role", "user", metavar="WHO", help="Only those of this user or role (uid, name, e-mail).")
@output_option
@pass_machine
def list_keys_command(machine: Machine, user: str | None, output: str) -> None:
    """List access keys, without their secrets. The last use is known to the minute."""
    rows = [
        {
            "access_key_id": key.access_key_id,
            "uid": key.uid,
            "state": "deleted" if key.deleted_at else "disabled" if key.disabled_at else "active",
            "created_at": time_or_none(key.created_at),
            "last_used_at": time_or_none(key.used_at),
        }
        for key in machine.look(principals.list_access_keys, user)
    ]
    columns = ["access_key_id", "uid", "state", "created_at", "last_used_at"]
    print_rows(rows, columns, output, empty="No access keys.")


@keys_group.command("add")
@click.argument("who")
@_OUT
@reason_option
@pass_machine
def add_key_command(machine: Machine, who: str, out: Path | None, reason: str) -> None:
    """Make an access key for WHO (uid, name or e-mail; the account's id for the account itself)."""
    check_can_tell_secret(out)
    _tell_key(machine, machine.change(principals.add_access_key, who, reason=reason), out)


@keys_group.command("rotate")
@click.argument("access_key_id")
@click.option("--disable-old", is_flag=True, help="Disable the old key at once, as when it was stolen.")
@_OUT
@reason_option
@pass_machine
def rotate_key_command(machine: Machine, access_key_id: str, disable_old: bool, out: Path | None, reason: str) -> None:
    """Make another access key for whoever holds this one, which goes on until it is disabled."""
    check_can_tell_secret(out)
    key = machine.change(principals.rotate_access_key, access_key_id, disable_old=disable_old, reason=reason)
    _tell_key(machine, key, out)
    if disable_old:
        note(f"{access_key_id} is disabled.")
    else:
        note(
            f"{access_key_id} goes on. When `kubecustody admin keys list` shows no new use of it: "
            f"`kubecustody admin keys disable {access_key_id} --reason WHY`."
        )


@keys_group.command("recover")
@click.option("--disable-others", is_flag=True, help="Disable the account's other keys, as when one was stolen.")
@_OUT
@reason_option
@pass_machine
def recover_key_command(machine: Machine, disable_others: bool, out: Path | None, reason: str) -> None:
    """Make an access key of the account itself, where its own was lost: whoever runs this machine may."""
    check_can_tell_secret(out)
    key, others = machine.change(principals.recover_account_key, disable_others=disable_others, reason=reason)
    _tell_key(machine, key, out)
    for other in others:
        used = f"last used {format_time(other.used_at)}" if other.used_at else "never used as far as is known"
        note(f"{other.access_key_id} of the account {'is disabled' if disable_others else 'goes on'}; {used}.")


def _tell_key(machine: Machine, key: principals.NewAccessKey, out: Path | None) -> None:
    tell_secret(
        {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": key.access_key_id,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": key.secret,
            "KUBECUSTODY_ENDPOINT": machine.settings.public_url,
        },
        out,
    )
    note(f"An access key of {key.uid}; the secret is shown this once.")


@keys_group.command("disable")
@click.argument("access_key_id")
@reason_option
@pass_machine
def disable_key_command(machine: Machine, access_key_id: str, reason: str) -> None:
    """Disable an access key: refused from its next request on."""
    machine.change(principals.set_access_key_disabled, access_key_id, disabled=True, reason=reason)
    say(f"{access_key_id} is disabled.")


@keys_group.command("enable")
@click.argument("access_key_id")
@reason_option
@pass_machine
def enable_key_command(machine: Machine, access_key_id: str, reason: str) -> None:
    """Enable an access key again."""
    machine.change(principals.set_access_key_disabled, access_key_id, disabled=False, reason=reason)
    say(f"{access_key_id} is enabled.")


@keys_group.command("delete")
@click.argument("access_key_id")
@reason_option
@pass_machine
def delete_key_command(machine: Machine, access_key_id: str, reason: str) -> None:
    """Delete an access key for good."""
    machine.change(principals.delete_access_key, access_key_id, reason=reason)
    say(f"{access_key_id} is deleted.")
