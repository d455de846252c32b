"""Sessions of roles: beginning one, and ending all of a role."""

from typing import NamedTuple

from kubecustody.core.errors import OperatorError
from kubecustody.core.names import PrincipalKind, check_logon_name
from kubecustody.core.policy_documents import parse_policy
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.installation import Custody, random_letters
from kubecustody.custody.principals import get_named
from kubecustody.custody.session_tokens import KEY_PREFIX, Session, seal_token
from kubecustody.store import principals

SHORTEST_SECONDS, LONGEST_SECONDS = 15 * 60, 12 * 3600
MOST_POLICY_CHARACTERS = 2048


class NewSession(NamedTuple):
    """A session that was just begun, with its token, which is told this once."""

    session: Session
    token: str

    def __repr__(self) -> str:
        return f"NewSession({self.session!r})"


async def begin_session(
    custody: Custody,
    account_id: str,
    author: Author,
    now: float,
    role: str,
    *,
    name: str,
    seconds: int,
    policy: str = "",
) -> NewSession:
    """A temporary key of a role. Raises PolicyRefused, and OperatorError where there is no such role."""
    check_logon_name(name)
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise OperatorError("A session lasts 15m to 12h.")
    if len(policy) > MOST_POLICY_CHARACTERS:
        raise OperatorError(f"The policy of a session has {MOST_POLICY_CHARACTERS} characters at most.")
    if policy:
        parse_policy(policy)

    async def work(unit: Change) -> Session:
        principal = await get_named(unit.tx, account_id, role)
        if principal.kind != PrincipalKind.ROLE:
            raise OperatorError(f"{role} is no role, and only roles have sessions. `kubecustody admin roles add`.")
        if principal.deleted_at is not None or principal.disabled_at is not None:
            raise OperatorError(f"{role} is deleted or disabled; it gets no session.")
        session = Session(
            account_id,
            principal.uid,
            name,
            KEY_PREFIX + random_letters(custody.random_bytes, 22),
            random_letters(custody.random_bytes, 40),
            unit.at,
            unit.at + seconds,
            policy,
        )
        unit.record(
            "session_begun",
            uid=principal.uid,
            subject=f"access-key/{session.access_key_id}",
            details={"name": name, "ends_at": session.ends_at, "policy": policy},
        )
        return session

    session = await change(custody.store, account_id, author, now, work)
    return NewSession(session, seal_token(custody.sealer, session))


async def end_sessions(custody: Custody, account_id: str, author: Author, now: float, role: str) -> str:
    """End every session of a role that was begun until now; the role's uid."""

    async def work(unit: Change) -> str:
        principal = await get_named(unit.tx, account_id, role)
        await principals.set_sessions_from(unit.tx, account_id, principal.uid, unit.at + 1)
        unit.record("sessions_ended", uid=principal.uid)
        unit.touch_permissions()
        return principal.uid

    return await change(custody.store, account_id, author, now, work)
