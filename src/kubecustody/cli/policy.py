"""`kubecustody policy`: what policies decide about a call, and expectations of that as a test."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.operations import OPERATIONS, get_operation
from kubecustody.cli.expectations import Expectation, read_expectations, read_policy_file
from kubecustody.cli.machine import Machine, account_option, data_dir_option, pass_machine
from kubecustody.cli.output import document_option, note, print_rows, say, to_json
from kubecustody.core.errors import OperatorError
from kubecustody.core.policy import ExplainedStatement
from kubecustody.core.times import parse_time
from kubecustody.custody.installation import Custody
from kubecustody.custody.policy_questions import (
    Answer,
    Call,
    Step,
    ask_of_policies,
    ask_of_user,
    list_explained,
    tell_condition,
    tell_reason,
)

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_COLUMNS = ["policy", "statement", "effect", "action", "resource", "conditions", "applies"]
_MOST_MINUTES = 999_999_999


@click.group("policy")
@data_dir_option
@account_option
@click.pass_context
def policy_group(context: click.Context, data_dir: Path | None, account: str | None) -> None:
    """Ask what policies decide about a call, without making it."""
    context.obj = Machine(data_dir, account)


# --- explain


@policy_group.command("explain")
@click.argument("who")
@click.argument("operation")
@click.option("--cluster", metavar="CLUSTER", help="Id or name of the cluster that the call is about.")
@click.option("--source-ip", metavar="ADDRESS", default="", help="Where the call comes from; unless said, absent.")
@click.option("--secure/--plain", default=True, show_default=True, help="Whether the call comes by TLS.")
@click.option("--at", metavar="TIME", help="When, as 2026-11-30T07:41:50Z; now unless said.")
@click.option(
    "--minutes",
    type=click.IntRange(1, _MOST_MINUTES),
    help="The validity that the call would give or return; unless said, the real one.",
)
@click.option("--session-policy", type=_FILE, help="The call comes from a session of the role WHO with this policy.")
@document_option
@pass_machine
def explain_command(
    machine: Machine,
    who: str,
    operation: str,
    cluster: str | None,
    source_ip: str,
    secure: bool,
    at: str | None,
    minutes: int | None,
    session_policy: Path | None,
    output: str,
) -> None:
    """Explain what decides whether WHO (uid, name or e-mail) may call OPERATION.

    Prints the decision, then how each statement of each policy was read: the pattern that fitted, the values that its
    conditions met, and whether it applies. Exit codes: 0 allowed, 1 denied, 2 the question is wrong.
    """
    call = Call(
        operation=_operation(operation),
        at=_time(at),
        cluster=cluster,
        source_ip=source_ip,
        secure=secure,
        minutes=minutes,
        session_policy=read_policy_file(session_policy) if session_policy else "",
    )
    answer = machine.look(ask_of_user, who, call)
    if output == "json":
        print(to_json(_as_json(answer)))
    else:
        _print(answer)
    if answer.disabled:
        note("They are disabled: every access key of theirs is refused, whatever policies say.")
    sys.exit(0 if answer.allowed else 1)


def _operation(name: str) -> Operation:
    try:
        return get_operation(name)
    except KeyError:
        names = ", ".join(known.name for known in OPERATIONS)
        raise OperatorError(f"There is no operation {name!r}. There are: {names}.") from None


def _time(text: str | None) -> float:
    if text is None:
        return time.time()
    try:
        return parse_time(text)
    except ValueError as error:
        raise OperatorError(f"{error}.") from None


def _print(answer: Answer) -> None:
    verdict, reason = "allowed" if answer.allowed else "denied", tell_reason(answer)
    told = reason if reason.startswith(verdict) else f"{verdict}: {reason}"
    say(f"{told[0].upper()}{told[1:]}.")
    for step, explanations in list_explained(answer):
        say(f"\n{' or '.join(step.actions)} on {step.resource}:")
        rows = [_row(statement) for explanation in explanations for statement in explanation.statements]
        print_rows(rows, _COLUMNS, "table", empty="No policy is attached.")


def _row(statement: ExplainedStatement) -> dict[str, Any]:
    return {
        "policy": statement.policy,
        "statement": f"Statement[{statement.statement_index}]",
        "effect": statement.effect,
        "action": _tell_match(statement.action_matched, statement.action_pattern, statement.action_name),
        "resource": _tell_match(statement.resource_matched, statement.resource_pattern, None),
        "conditions": [tell_condition(condition) for condition in statement.conditions],
        "applies": statement.applies,
    }


def _tell_match(matched: bool, pattern: str | None, name: str | None) -> str:
    """How Action or Resource was read; with NotAction and NotResource it is a pattern that keeps them from matching."""
    if pattern is None:
        return "none of what it excepts" if matched else "no match"
    of = f" ({name})" if name is not None and name != pattern else ""
    return f"{pattern}{of}" if matched else f"excepted by {pattern}{of}"


def _as_json(answer: Answer) -> dict[str, Any]:
    return {
        "allowed": answer.allowed,
        "reason": tell_reason(answer),
        "principal": answer.caller.arn,
        "operation": answer.operation.name,
        "decisions": [_step_as_json(step, is_need=step in answer.needs) for step, _ in list_explained(answer)],
    }


def _step_as_json(step: Step, *, is_need: bool) -> dict[str, Any]:
    explanations = [step.own, *([step.session] if step.session is not None else [])]
    decision = step.decision
    told = {
        "allowed": decision.allowed,
        "explicit": decision.explicit,
        "policy": decision.policy,
        "statement_index": decision.statement_index,
    }
    return {
        "actions": step.actions,
        "resource": step.resource,
        **({} if is_need else told),
        "statements": [
            {**statement._asdict(), "conditions": [condition._asdict() for condition in statement.conditions]}
            for explanation in explanations
            for statement in explanation.statements
        ],
    }


# --- test


@policy_group.command("test")
@click.argument("file", type=_FILE)
@pass_machine
def test_command(machine: Machine, file: Path) -> None:
    """Try the expectations in FILE, a YAML or JSON list.

    \b
    - name: developers get no long-lived kubeconfig
      policies: [developers.json]     # files beside FILE, documents, names of built-in policies;
                                      # or who: a user or role of this machine's store
      operation: DescribeClusterUserKubeconfig
      cluster: c5b5e80b0b64a4bf6939d2d8fbbc51a7e
      minutes: 129600
      expect: deny                    # or allow
      by: developers                  # optional: the policy that must be the one that decides

    Optional besides: source_ip, secure, at, session_policy, delegated_admin as `policy explain` has them, and with
    policies account, region and uid. A store is opened only where an expectation says who. Prints a line for each
    expectation that fails, and how many held. Exit codes: 0 all hold, 1 one fails, 2 the file is wrong.
    """
    expectations = read_expectations(file, time.time())
    if any(one.who is not None for one in expectations):
        answers = machine.look(_answer_all, expectations)
    else:
        answers = asyncio.run(_answer_all(None, "", expectations))
    failing = [_tell_failure(*pair) for pair in zip(expectations, answers, strict=True) if not _holds(*pair)]
    for failure in failing:
        say(failure)
    say(f"{len(expectations) - len(failing)} of {len(expectations)} expectations hold.")
    sys.exit(1 if failing else 0)


async def _answer_all(custody: Custody | None, account_id: str, expectations: Sequence[Expectation]) -> list[Answer]:
    """The answer to each. Raises OperatorError with every question that has none."""
    answers, faults = [], []
    for one in expectations:
        try:
            if custody is not None and one.who is not None:
                answers.append(await ask_of_user(custody, account_id, one.who, one.call))
            else:
                answers.append(await ask_of_policies(one.somebody, one.policies, one.call))
        except OperatorError as error:
            faults.append(f"  {one.place}: {error}")
    if faults:
        raise OperatorError("\n".join(("There is no answer to what is asked:", *faults)))
    return answers


def _holds(expectation: Expectation, answer: Answer) -> bool:
    if answer.allowed != expectation.allowed:
        return False
    return expectation.by is None or expectation.by.casefold() == _decided_by(answer).casefold()


def _decided_by(answer: Answer) -> str:
    return (answer.deciding.decision.policy or "") if answer.deciding is not None else ""


def _tell_failure(expectation: Expectation, answer: Answer) -> str:
    wanted = "allow" if expectation.allowed else "deny"
    by = f" by {expectation.by}" if expectation.by is not None else ""
    return f"FAILED {expectation.place}: expected {wanted}{by}; {tell_reason(answer)}."
