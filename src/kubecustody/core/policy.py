"""RAM policies: what a set of them decides about one request, and why.

The language is the provider's (RAM, "Policy structure and syntax" and "Policy elements", read in November 2026).
Two rules are stricter than there. A request has all names of its operation at once, so that no statement is passed
by by an alias. What the request has no value of never satisfies a condition of an Allow and always one of a Deny.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeAlias

from kubecustody.core.globs import has_wildcard, matches
from kubecustody.core.policy_conditions import (
    EMPTY_CONTEXT,
    Condition,
    Context,
    given_value,
    holds,
    spell_key,
    write_given,
)

Effect: TypeAlias = Literal["Allow", "Deny"]


class Statement(NamedTuple):
    """What is allowed or denied: any of the actions on any of the resources, while all conditions hold.

    With `not_action` or `not_resource` the patterns are those of NotAction or NotResource: any other than these.
    """

    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_action: bool = False
    not_resource: bool = False
    conditions: tuple[Condition, ...] = ()


class Policy(NamedTuple):
    """One policy document."""

    statements: tuple[Statement, ...]


class NamedPolicy(NamedTuple):
    """A policy under the name by which a decision refers to it."""

    name: str
    policy: Policy


class Decision(NamedTuple):
    """Whether a request may go on, and why.

    `explicit` says that a statement decided: `policy` and `statement_index` (from 0) name it. Where none
    did, the request is refused by silence, and both are None. A `conditional` one holds for this context
    only; any other would be the same in every context.
    """

    allowed: bool
    explicit: bool
    policy: str | None = None
    statement_index: int | None = None
    conditional: bool = False


_SILENCE = Decision(allowed=False, explicit=False)


# ---- deciding


def evaluate(
    policies: Sequence[NamedPolicy], *, actions: frozenset[str], resource: str, context: Context = EMPTY_CONTEXT
) -> Decision:
    """The decision about one request: a Deny over an Allow over silence.

    `actions` are all names of the one operation: a statement speaks about the request if it matches any of
    them, one with NotAction if it matches none. Actions are compared without regard to case, resources with it.
    The named statement is the first in the order given that decides as it does.
    """
    names = [action.lower() for action in actions]
    decision = _SILENCE
    conditional = False
    for name, policy in policies:
        for index, statement in enumerate(policy.statements):
            denies = statement.effect == "Deny"
            if (denies or not decision.allowed) and _speaks_about(statement, names, resource):
                if statement.conditions:
                    conditional = True
                    if not _conditions_hold(statement, context):
                        continue
                decision = Decision(not denies, True, name, index, conditional)
                if denies:
                    return decision
    return decision._replace(conditional=True) if conditional else decision


def has_exact_allow(
    policies: Iterable[NamedPolicy], *, actions: frozenset[str], resource: str, context: Context
) -> bool:
    """Whether an Allow that applies to the request names one of its actions outright, without `*`, `?` or NotAction.

    Says nothing of a Deny; that is `evaluate`'s.
    """
    names = {action.lower() for action in actions}
    return any(
        statement.effect == "Allow"
        and not statement.not_action
        and any(pattern.lower() in names and not has_wildcard(pattern) for pattern in statement.actions)
        and _speaks_about(statement, names, resource)
        and _conditions_hold(statement, context)
        for _, policy in policies
        for statement in policy.statements
    )


def keys_used(policy: Policy) -> frozenset[str]:
    """The condition keys in the policy, in lower case: what a context need not have otherwise."""
    return frozenset([condition.key for statement in policy.statements for condition in statement.conditions])


def _speaks_about(statement: Statement, names: Collection[str], resource: str) -> bool:
    """Whether action and resource are the statement's; its conditions are not looked at."""
    if (_find_action(statement.actions, names) is None) is not statement.not_action:
        return False
    return (_find_resource(statement.resources, resource) is None) is statement.not_resource


def _conditions_hold(statement: Statement, context: Context) -> bool:
    denies = statement.effect == "Deny"
    return all(holds(condition, context, if_absent=denies) for condition in statement.conditions)


def _find_action(patterns: Iterable[str], names: Collection[str]) -> tuple[str, str] | None:
    """The first pattern that fits one of the names (these in lower case), and that name."""
    for written in patterns:
        pattern = written.lower()
        if not has_wildcard(pattern):
            if pattern in names:
                return written, pattern
            continue
        for name in names:
            if matches(pattern, name):
                return written, name
    return None


def _find_resource(patterns: Iterable[str], resource: str) -> str | None:
    for pattern in patterns:
        if pattern == "*" or _resource_matches(pattern, resource):
            return pattern
    return None


def _resource_matches(pattern: str, resource: str) -> bool:
    """Part by part, so that a `*` for the region cannot swallow the account as well."""
    wanted, given = pattern.split(":", 4), resource.split(":", 4)
    return len(wanted) == len(given) and all(map(matches, wanted, given))


# ---- explaining


class ExplainedCondition(NamedTuple):
    """One condition of a statement: what it asks, what the request has (None where absent), whether it held."""

    operator: str
    key: str
    written: tuple[str, ...]
    given: str | None
    held: bool


class ExplainedStatement(NamedTuple):
    """How one statement was read for the request.

    The pattern, and for an action the request's name, are those that fitted; with NotAction or NotResource it
    is just these that keep the statement from matching. `conditions` are told also where action or resource
    do not match.
    """

    policy: str
    statement_index: int
    effect: Effect
    action_matched: bool
    action_pattern: str | None
    action_name: str | None
    resource_matched: bool
    resource_pattern: str | None
    conditions: tuple[ExplainedCondition, ...]
    applies: bool


class Explanation(NamedTuple):
    """A decision, and every statement of every policy in order."""

    decision: Decision
    statements: tuple[ExplainedStatement, ...]


def explain(
    policies: Sequence[NamedPolicy], *, actions: frozenset[str], resource: str, context: Context
) -> Explanation:
    """What `evaluate` decides about a request, with what each statement says of it."""
    names = {action.lower(): action for action in sorted(actions)}
    statements = tuple(
        _explain_statement(name, index, statement, names, resource, context)
        for name, policy in policies
        for index, statement in enumerate(policy.statements)
    )
    return Explanation(evaluate(policies, actions=actions, resource=resource, context=context), statements)


def _explain_statement(
    policy: str, index: int, statement: Statement, names: dict[str, str], resource: str, context: Context
) -> ExplainedStatement:
    action = _find_action(statement.actions, names)
    resource_pattern = _find_resource(statement.resources, resource)
    action_matched = (action is None) is statement.not_action
    resource_matched = (resource_pattern is None) is statement.not_resource
    conditions = tuple(_explain_conditions(statement, context))
    return ExplainedStatement(
        policy,
        index,
        statement.effect,
        action_matched,
        action and action[0],
        action and names[action[1]],
        resource_matched,
        resource_pattern,
        conditions,
        action_matched and resource_matched and all(condition.held for condition in conditions),
    )


def _explain_conditions(statement: Statement, context: Context) -> Iterator[ExplainedCondition]:
    for condition in statement.conditions:
        given = given_value(condition.key, context)
        yield ExplainedCondition(
            condition.operator,
            spell_key(condition.key),
            condition.written,
            None if given is None else write_given(condition.key, given),
            holds(condition, context, if_absent=statement.effect == "Deny"),
        )
