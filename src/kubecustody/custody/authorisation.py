"""What a caller may do: their policies asked about one request, in the request's own snapshot.

1. The account may do everything.
2. The caller's policies decide, with all names of the operation, the resource that the path names, and the context of
   the request.
3. The policy of a session can only narrow that.
4. What only the account may call, a delegated administrator may too, where an Allow names the very action, and each
   further one that the operation asks of a delegate.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from kubecustody.catalogue.model import Operation
from kubecustody.catalogue.policies import builtin_policies
from kubecustody.core.errors import AccessDenied, BeyondDelegation
from kubecustody.core.names import PrincipalKind
from kubecustody.core.policy import (
    Decision,
    Explanation,
    NamedPolicy,
    evaluate,
    explain,
    has_exact_allow,
    keys_used,
)
from kubecustody.core.policy_conditions import EMPTY_CONTEXT, Context
from kubecustody.core.policy_documents import parse_policy
from kubecustody.custody.authentication import Caller
from kubecustody.store.callers import AttachedPolicy, list_policies_of
from kubecustody.store.principals import Principal
from kubecustody.store.transactions import Transaction

SESSION_POLICY = "the policy of the session"
MINUTES_KEY = "cs:kubeconfigdurationminutes"

_REMEMBERED = 4096

K = TypeVar("K")
V = TypeVar("V")

# The validity in minutes that a call would give or return: asked only where a policy asks for it.
MinutesOf = Callable[[], Awaitable[int | None]]


class Request(NamedTuple):
    """What is decided about: an operation on a resource, at a time (unix seconds).

    actions: the names that it goes by where they are more than the operation's own.
    """

    operation: Operation
    resource: str
    now: float
    minutes: MinutesOf | None = None
    actions: frozenset[str] | None = None


async def load_policies(tx: Transaction, account_id: str, uid: str) -> list[NamedPolicy]:
    """The policies attached to a principal and to their groups."""
    return _named(await list_policies_of(tx, account_id, uid))


def resource_of(operation: Operation, region_id: str, account_id: str, cluster_id: str) -> str:
    """The ARN that the call is about."""
    return operation.resource.format(region_id=region_id, account_id=account_id, ClusterId=cluster_id)


class Authoriser:
    """Decides whether a caller may do an operation.

    Policies, and decisions that no condition had a part in, are remembered per iam_version of the account, which every
    change of principals, groups, policies and keys raises in its transaction: what is remembered never outlives what it
    rests on.
    """

    def __init__(self) -> None:
        self._decisions: dict[_Asked, Decision] = {}
        self._policies: dict[_Version, list[NamedPolicy]] = {}

    async def authorise(
        self,
        tx: Transaction,
        caller: Caller,
        operation: Operation,
        path_values: Mapping[str, bytes],
        now: float,
        minutes: MinutesOf | None = None,
    ) -> bool:
        """Raise AccessDenied unless the caller may do this operation on the resource that the path names.

        Whether that holds while the account's iam_version stays: no condition had a part in it.
        """
        if caller.kind == PrincipalKind.ACCOUNT:
            return True
        asked = _asked(caller, operation, path_values)
        decision = self._decisions.get(asked)
        if decision is not None and decision.allowed:
            return True
        request = _request(caller, operation, path_values, now, minutes)
        if decision is None:
            version = _version(caller)
            policies = self._policies.get(version)
            if policies is None:
                policies = await load_policies(tx, caller.account_id, caller.uid)
                _remember(self._policies, version, policies)
            decision = await self._decide(policies, caller, request, asked)
        if not decision.allowed:
            raise denial(caller, request, decision)
        return _is_lasting(decision, operation)

    async def recall(self, caller: Caller, operation: Operation, path_values: Mapping[str, bytes], now: float) -> bool:
        """Whether what is remembered allows it, while the account's iam_version stays. Otherwise the store has to be
        asked: nobody is refused by memory.
        """
        if caller.kind == PrincipalKind.ACCOUNT:
            return True
        asked = _asked(caller, operation, path_values)
        decision = self._decisions.get(asked)
        if decision is None:
            policies = self._policies.get(_version(caller))
            if policies is None:
                return False
            decision = await self._decide(policies, caller, _request(caller, operation, path_values, now, None), asked)
        return decision.allowed and _is_lasting(decision, operation)

    async def _decide(
        self, policies: Sequence[NamedPolicy], caller: Caller, request: Request, asked: "_Asked"
    ) -> Decision:
        decision = await decide_by(policies, caller, request)
        if _is_lasting(decision, request.operation):
            _remember(self._decisions, asked, decision)
        return decision


_Version = tuple[str, str, int]  # account, uid, iam_version
_Asked = tuple[_Version, str, bytes, str]  # operation, cluster, key of a session


def _version(caller: Caller) -> _Version:
    return caller.account_id, caller.uid, caller.iam_version


def _asked(caller: Caller, operation: Operation, path_values: Mapping[str, bytes]) -> _Asked:
    session_key = "" if caller.session is None else caller.access_key_id
    return _version(caller), operation.name, _cluster_id(operation, path_values), session_key


def _cluster_id(operation: Operation, path_values: Mapping[str, bytes]) -> bytes:
    return path_values["ClusterId"] if operation.names_cluster else b""


def _is_lasting(decision: Decision, operation: Operation) -> bool:
    """No condition had a part in it, nor could have: the exact Allow of a delegate may have conditions of its own."""
    return not (decision.conditional or operation.account_only)


def _request(
    caller: Caller, operation: Operation, path_values: Mapping[str, bytes], now: float, minutes: MinutesOf | None
) -> Request:
    cluster_id = _cluster_id(operation, path_values).decode("utf-8", "replace")
    resource = resource_of(operation, caller.region_id, caller.account_id, cluster_id)
    return Request(operation, resource, now, minutes)


def _remember(memory: "dict[K, V]", key: K, value: V) -> None:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value


async def judge(
    tx: Transaction,
    caller: Caller,
    operation: Operation,
    path_values: Mapping[str, bytes],
    now: float,
    minutes: MinutesOf | None,
) -> None:
    """As `authorise`, with nothing remembered: in a transaction whose changes are not numbered yet."""
    if caller.kind == PrincipalKind.ACCOUNT:
        return
    request = _request(caller, operation, path_values, now, minutes)
    decision = await decide(tx, caller, request)
    if not decision.allowed:
        raise denial(caller, request, decision)


async def decide(tx: Transaction, caller: Caller, request: Request) -> Decision:
    """The decision about one request of a user, role or session, by the policies attached to them."""
    return await decide_by(await load_policies(tx, caller.account_id, caller.uid), caller, request)


async def decide_by(policies: Sequence[NamedPolicy], caller: Caller, request: Request) -> Decision:
    """The decision about one request by these policies. A lack of delegation shows as a silent refusal."""
    own = _session_policies(caller)
    context = await _context(caller, request, [*policies, *own])
    actions = request.actions or request.operation.folded_actions
    decision = evaluate(policies, actions=actions, resource=request.resource, context=context)
    if decision.allowed and own:
        narrowed = evaluate(own, actions=actions, resource=request.resource, context=context)
        conditional = decision.conditional or narrowed.conditional
        if not narrowed.allowed:
            decision = narrowed._replace(policy=SESSION_POLICY)
        decision = decision._replace(conditional=conditional)
    if (
        decision.allowed
        and request.operation.account_only
        and not _is_delegated(caller, request, policies, own, context)
    ):
        return Decision(allowed=False, explicit=False)
    return decision


def _is_delegated(
    caller: Caller,
    request: Request,
    policies: Sequence[NamedPolicy],
    own: Sequence[NamedPolicy],
    context: Context,
) -> bool:
    if not caller.delegated_admin:
        return False
    wanted = [
        request.operation.folded_actions,
        *(frozenset({name.lower()}) for name in request.operation.delegation_needs),
    ]
    return all(
        has_exact_allow(policies, actions=names, resource=request.resource, context=context)
        and all(
            evaluate(each, actions=names, resource=request.resource, context=context).allowed
            for each in (policies, own)
            if each
        )
        for names in wanted
    )


async def explain_by(
    policies: Sequence[NamedPolicy], caller: Caller, request: Request
) -> tuple[Explanation, Explanation | None, Decision]:
    """How `decide_by` decides: statement by statement, of the policies and of a session's, and the decision."""
    own = _session_policies(caller)
    context = await _context(caller, request, [*policies, *own])
    actions = request.actions or request.operation.folded_actions
    return (
        explain(policies, actions=actions, resource=request.resource, context=context),
        explain(own, actions=actions, resource=request.resource, context=context) if own else None,
        await decide_by(policies, caller, request),
    )


def check_reach(caller: Caller, target: Principal) -> None:
    """Raise BeyondDelegation where a delegated administrator acts on whom they may not."""
    if caller.kind == PrincipalKind.ACCOUNT:
        return
    if target.kind == PrincipalKind.ACCOUNT:
        raise BeyondDelegation("the account itself")
    if target.uid == caller.uid:
        raise BeyondDelegation("themselves")
    if target.delegated_admin:
        raise BeyondDelegation("another delegated administrator")


def denial(caller: Caller, request: Request, decision: Decision) -> AccessDenied:
    """The error of a decision that does not allow."""
    operation = request.operation
    by_session = decision.policy == SESSION_POLICY
    return AccessDenied(
        action=operation.action_names[0],
        resource=request.resource,
        principal_uid=caller.uid,
        principal_type="AssumedRoleUser" if caller.kind == PrincipalKind.ROLE else "SubUser",
        account_id=caller.account_id,
        explicit=decision.explicit,
        deciding_policy=decision.policy,
        account_only=operation.account_only and not decision.explicit and not by_session,
        session_name=caller.session.name if caller.session else "",
        by_session_policy=by_session,
    )


def _session_policies(caller: Caller) -> list[NamedPolicy]:
    if caller.session is None or not caller.session.policy:
        return []
    return [NamedPolicy(SESSION_POLICY, parse_policy(caller.session.policy))]


async def _context(caller: Caller, request: Request, policies: Sequence[NamedPolicy]) -> Context:
    """What conditions can ask of the request; nothing where none asks."""
    keys: frozenset[str] = frozenset().union(*(keys_used(policy.policy) for policy in policies))
    if not keys:
        return EMPTY_CONTEXT
    context: dict[str, object] = {
        "acs:currenttime": datetime.fromtimestamp(request.now, UTC),
        "acs:securetransport": caller.origin.secure,
        "acs:sourceip": caller.origin.address or None,
        "acs:principalarn": caller.arn,
    }
    if MINUTES_KEY in keys and request.minutes is not None:
        context[MINUTES_KEY] = await request.minutes()
    return context


def _named(attached: Sequence[AttachedPolicy]) -> list[NamedPolicy]:
    builtin = builtin_policies()
    named = []
    for policy in attached:
        if policy.policy_type == "System":
            named.append(builtin[policy.name_folded])
        elif policy.document is not None:
            named.append(NamedPolicy(policy.name or policy.name_folded, parse_policy(policy.document)))
    return named
