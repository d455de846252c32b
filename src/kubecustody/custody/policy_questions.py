"""Questions about policies: what they decide about a call, and how that comes about. Nothing is changed by them.

Each decision is made by `custody.authorisation`, as the server makes it.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple

from kubecustody.catalogue.kubeconfigs import (
    CLEAN_CLUSTER_USER_PERMISSIONS,
    ExpireInput,
    IssueCredentialInput,
    RevokeInput,
    SubaccountKubeconfigInput,
    UserKubeconfigInput,
)
from kubecustody.catalogue.model import ONE_CLUSTER, Operation
from kubecustody.catalogue.policies import builtin_policies
from kubecustody.catalogue.shapes import Shape
from kubecustody.catalogue.tasks import CLEAN_USER_PERMISSIONS
from kubecustody.core.errors import OperatorError
from kubecustody.core.names import PrincipalKind
from kubecustody.core.policy import Decision, ExplainedCondition, Explanation, NamedPolicy
from kubecustody.core.policy_documents import parse_policy
from kubecustody.custody.authentication import Caller, Origin
from kubecustody.custody.authorisation import (
    SESSION_POLICY,
    MinutesOf,
    Request,
    explain_by,
    load_policies,
    resource_of,
)
from kubecustody.custody.clusters import get_cluster
from kubecustody.custody.installation import Custody
from kubecustody.custody.issuing import find_validity_minutes
from kubecustody.custody.principals import get_named
from kubecustody.custody.session_tokens import Session
from kubecustody.custody.sessions import MOST_POLICY_CHARACTERS
from kubecustody.custody.tasks import CLEAN_IN_ONE
from kubecustody.store.callers import find_session_holder
from kubecustody.store.transactions import Transaction

_WITH_VALIDITY = (UserKubeconfigInput, SubaccountKubeconfigInput, IssueCredentialInput, RevokeInput, ExpireInput)


class Call(NamedTuple):
    """A call that is asked about, at unix seconds.

    source_ip: "" for none; minutes: the validity that the call would give or return, None for the real one;
    session_policy: the document, "" for none; delegated_admin: None for what the store says.
    """

    operation: Operation
    at: float
    cluster: str | None = None
    source_ip: str = ""
    secure: bool = True
    minutes: int | None = None
    session_policy: str = ""
    delegated_admin: bool | None = None


class Somebody(NamedTuple):
    """A principal whom no store knows, with no more than what policies can ask of one."""

    account_id: str
    region_id: str
    uid: str


class GivenPolicy(NamedTuple):
    """A policy that is in no store; document is None for a built-in one."""

    name: str
    document: str | None


class Step(NamedTuple):
    """One of the decisions that a call needs: by which names and on what, and what each statement says."""

    actions: tuple[str, ...]
    resource: str
    own: Explanation
    session: Explanation | None
    decision: Decision


class Answer(NamedTuple):
    """What was decided. steps: none for the account itself; needs: what else a delegated administrator must be allowed
    by name, which is told for whom is one; disabled: keys of theirs are refused, whatever was decided.
    """

    caller: Caller
    operation: Operation
    steps: tuple[Step, ...]
    needs: tuple[Step, ...] = ()
    disabled: bool = False

    @property
    def allowed(self) -> bool:
        """Whether the call may go on."""
        return all(step.decision.allowed for step in self.steps)

    @property
    def deciding(self) -> Step | None:
        """The step that refuses the call, or else the last one; None for the account itself."""
        refusing = (step for step in self.steps if not step.decision.allowed)
        return next(refusing, self.steps[-1] if self.steps else None)


def check_call(call: Call) -> None:
    """Raise OperatorError, or PolicyRefused for a session's policy, where no such call could be made."""
    name = call.operation.name
    if call.cluster is None and call.operation.names_cluster:
        raise OperatorError(f"{name} is decided for a cluster; say which.")
    if call.cluster is not None and not _takes_cluster(call.operation):
        raise OperatorError(f"{name} is decided for the account, not for a cluster; say none.")
    if call.minutes is not None and call.operation.input not in _WITH_VALIDITY:
        raise OperatorError(f"{name} has to do with no validity, so that conditions on it find none; say no minutes.")
    if len(call.session_policy) > MOST_POLICY_CHARACTERS:
        raise OperatorError(f"The policy of a session has {MOST_POLICY_CHARACTERS} characters at most.")
    if call.session_policy:
        parse_policy(call.session_policy)
    if call.source_ip:
        try:
            ip_address(call.source_ip)
        except ValueError:
            raise OperatorError(f"{call.source_ip!r} is no address.") from None


def _takes_cluster(operation: Operation) -> bool:
    return operation.names_cluster or operation is CLEAN_USER_PERMISSIONS


async def ask_of_user(custody: Custody, account_id: str, who: str, call: Call) -> Answer:
    """What the policies of a user, role or the account itself decide about a call. Raises OperatorError."""
    check_call(call)

    async def work(tx: Transaction) -> Answer:
        caller, disabled = await _caller_of(tx, account_id, who, call)
        cluster_id = (await get_cluster(tx, account_id, call.cluster)).cluster_id if call.cluster is not None else ""

        async def minutes() -> int | None:
            if call.minutes is not None:
                return call.minutes
            return await find_validity_minutes(custody, tx, caller, _shape_of(call, cluster_id), call.at)

        policies = await load_policies(tx, account_id, caller.uid)
        answer = await _ask(policies, caller, call, cluster_id, minutes)
        return answer._replace(disabled=disabled)

    return await custody.store.read(work)


async def ask_of_policies(somebody: Somebody, policies: Sequence[GivenPolicy], call: Call) -> Answer:
    """What these policies decide about a call of whom they alone are attached to. Raises OperatorError.

    The cluster is taken for an id. With a session's policy the caller is a role, else a user.
    """
    check_call(call)
    kind = PrincipalKind.ROLE if call.session_policy else PrincipalKind.USER
    caller = _make_caller(
        somebody.account_id, somebody.uid, kind, somebody.region_id, call, delegated=bool(call.delegated_admin)
    )

    async def minutes() -> int | None:
        if call.minutes is None:
            raise _minutes_missing("and without a store there is no other way to know it")
        return call.minutes

    return await _ask([_named(policy) for policy in policies], caller, call, call.cluster or "", minutes)


async def _caller_of(tx: Transaction, account_id: str, who: str, call: Call) -> tuple[Caller, bool]:
    """The caller, and whether they are disabled."""
    principal = await get_named(tx, account_id, who)
    holder = await find_session_holder(tx, account_id, principal.uid)
    if holder is None or principal.deleted_at is not None:
        raise OperatorError(f"{who} is deleted, and every access key of theirs with them.")
    if call.session_policy and principal.kind != PrincipalKind.ROLE:
        raise OperatorError(f"{who} is no role, and only roles have sessions.")
    delegated = bool(holder.delegated_admin) if call.delegated_admin is None else call.delegated_admin
    caller = _make_caller(account_id, principal.uid, principal.kind, holder.region_id, call, delegated=delegated)
    return caller, principal.disabled_at is not None


def _make_caller(account_id: str, uid: str, kind: str, region_id: str, call: Call, *, delegated: bool) -> Caller:
    session = Session(account_id, uid, "asked", "", "", 0, 0, call.session_policy) if call.session_policy else None
    return Caller(
        account_id=account_id,
        uid=uid,
        kind=kind,
        access_key_id="",
        region_id=region_id,
        iam_version=0,
        cluster_count=0,
        last_cluster_seq=0,
        delegated_admin=delegated,
        session=session,
        origin=Origin(call.source_ip, call.secure),
    )


def _shape_of(call: Call, cluster_id: str) -> Shape:
    """The call's parameters, as far as the validity hangs on them. Raises OperatorError where it hangs on more."""
    wanted = call.operation.input
    if wanted is UserKubeconfigInput:
        return UserKubeconfigInput(cluster_id)
    if wanted is IssueCredentialInput:
        return IssueCredentialInput(cluster_id, csr="")
    if wanted is RevokeInput:
        return RevokeInput(cluster_id)
    raise _minutes_missing(f"and with {call.operation.name} it hangs on the other parameters")


def _minutes_missing(why: str) -> OperatorError:
    return OperatorError(f"A policy asks for cs:KubeConfigDurationMinutes, {why}; say the minutes.")


async def _ask(
    policies: Sequence[NamedPolicy], caller: Caller, call: Call, cluster_id: str, minutes: MinutesOf
) -> Answer:
    operation = call.operation
    if caller.kind == PrincipalKind.ACCOUNT:
        return Answer(caller, operation, ())
    resource = resource_of(operation, caller.region_id, caller.account_id, cluster_id)
    known = minutes if operation.input in _WITH_VALIDITY else None
    requests = [Request(operation, resource, call.at, known)]
    if operation is CLEAN_USER_PERMISSIONS and cluster_id:
        in_cluster = ONE_CLUSTER.format(region_id=caller.region_id, account_id=caller.account_id, ClusterId=cluster_id)
        requests.append(Request(operation, in_cluster, call.at, actions=CLEAN_IN_ONE))
    further = operation.delegation_needs if caller.delegated_admin else ()
    needs = [Request(operation, resource, call.at, known, frozenset({name.lower()})) for name in further]
    return Answer(
        caller,
        operation,
        tuple([await _step(policies, caller, request) for request in requests]),
        tuple([await _step(policies, caller, request) for request in needs]),
    )


async def _step(policies: Sequence[NamedPolicy], caller: Caller, request: Request) -> Step:
    own, session, decision = await explain_by(policies, caller, request)
    names = _names_of(request)
    narrowing = None if session is None else _spelled(session, names)
    return Step(names, request.resource, _spelled(own, names), narrowing, decision)


def _spelled(explanation: Explanation, names: Sequence[str]) -> Explanation:
    """The explanation with the action names as the catalogue writes them; they are compared in lower case."""
    spellings = {name.lower(): name for name in names}
    statements = (
        one._replace(action_name=one.action_name and spellings[one.action_name]) for one in explanation.statements
    )
    return explanation._replace(statements=tuple(statements))


def _names_of(request: Request) -> tuple[str, ...]:
    """The action names as the catalogue writes them, the operation's own first."""
    operations = (request.operation, CLEAN_CLUSTER_USER_PERMISSIONS)
    written = [name for one in operations for name in (*one.action_names, *one.delegation_needs)]
    wanted = request.actions or request.operation.folded_actions
    return tuple(dict.fromkeys(name for name in written if name.lower() in wanted))


def _named(policy: GivenPolicy) -> NamedPolicy:
    if policy.document is not None:
        return NamedPolicy(policy.name, parse_policy(policy.document))
    builtin = builtin_policies().get(policy.name.lower())
    if builtin is None:
        raise OperatorError(f"There is no built-in policy {policy.name!r}.")
    return builtin


# --- telling


def tell_reason(answer: Answer) -> str:
    """Why the call is allowed or denied, in one sentence without its full stop."""
    step = answer.deciding
    if step is None:
        return "the account may do everything"
    where = f" on {step.resource}" if len(answer.steps) > 1 else ""
    if answer.allowed:
        delegated = ", to a delegated administrator" if answer.operation.account_only else ""
        return f"allowed by {_decider(step.decision)}{where}{delegated}"
    if step.decision.explicit:
        return f"denied by {_decider(step.decision)}{where}"
    if step.decision.policy == SESSION_POLICY and step.session is not None:
        return f"{SESSION_POLICY} does not allow it{where}{_near_miss(step.session)}"
    if answer.operation.account_only:
        return _tell_delegation(answer)
    if not step.own.statements:
        return "no policy is attached"
    return f"no policy allows it{where}{_near_miss(step.own)}"


def _decider(decision: Decision) -> str:
    return f"{decision.policy}, Statement[{decision.statement_index}]"


def _tell_delegation(answer: Answer) -> str:
    if not answer.caller.delegated_admin:
        return "only the account may call it, or an administrator whom it delegated this to, which they are not"
    names = " and ".join([answer.operation.action_names[0], *answer.operation.delegation_needs])
    return f"a delegated administrator may call it only where an Allow that applies names {names} outright"


def _near_miss(explanation: Explanation) -> str:
    """What the first Allow lacks that fits but for its conditions; "" without one."""
    for one in explanation.statements:
        if one.effect == "Allow" and one.action_matched and one.resource_matched:
            lacking = "; ".join(tell_condition(each) for each in one.conditions if not each.held)
            return f": {one.policy}, Statement[{one.statement_index}] would but for {lacking}"
    return ""


def tell_condition(condition: ExplainedCondition) -> str:
    """A condition with its written values, what the request has, and whether it held."""
    written = " or ".join(condition.written)
    given = "absent" if condition.given is None else condition.given
    return f"{condition.operator} {condition.key} {written} ({given}: {'held' if condition.held else 'not held'})"


def list_explained(answer: Answer) -> Iterator[tuple[Step, list[Explanation]]]:
    """Each step, and each further need of a delegated administrator, with its explanations."""
    for step in (*answer.steps, *answer.needs):
        yield step, [step.own, *([step.session] if step.session is not None else [])]
