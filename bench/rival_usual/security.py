"""Signature, nonce and policy checks, as dependencies of the routes."""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated
from urllib.parse import parse_qsl, quote

from fastapi import Depends, Request
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from bench.rival_usual.models import AccessKey, Nonce, Policy, User

ALGORITHM = "ACS3-HMAC-SHA256"
MAX_SKEW = timedelta(minutes=15)
AUTHORIZATION = re.compile(ALGORITHM + r" Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})")


class ApiError(Exception):
    """An error to answer with."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


async def get_session(request: Request) -> AsyncIterator[AsyncSession]:
    """One session for the request."""
    async with request.app.state.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]


async def current_user(request: Request, session: Session) -> User:
    """The user whose access key signed the request; its nonce is used up."""
    match = AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if match is None:
        raise ApiError(400, "IncompleteSignature", "The request signature does not conform to standards.")
    access_key_id, signed_headers, signature = match.groups()
    signed_at = check_date(request.headers.get("x-acs-date"))
    nonce = request.headers.get("x-acs-signature-nonce")
    if not nonce or len(nonce) > 128:
        raise ApiError(400, "MissingSignatureNonce", "SignatureNonce is mandatory for this action.")
    names = signed_headers.split(";")
    required = {"host", *(name for name in request.headers if name.startswith("x-acs-"))}
    if not required <= set(names):
        raise ApiError(400, "IncompleteSignature", "Not all headers that must be signed are signed.")
    key = await session.scalar(
        select(AccessKey).where(AccessKey.access_key_id == access_key_id).options(joinedload(AccessKey.user))
    )
    if key is None:
        raise ApiError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
    if not key.active:
        raise ApiError(400, "InvalidAccessKeyId.Inactive", "Specified access key is disabled.")
    body_hash = hashlib.sha256(await request.body()).hexdigest()
    if request.headers.get("x-acs-content-sha256") != body_hash:
        raise ApiError(400, "ContentSha256NotMatched", "x-acs-content-sha256 is not the hash of the body.")
    expected = sign(canonical_request(request, names, body_hash), key.secret)
    if not hmac.compare_digest(expected, signature):
        raise ApiError(400, "SignatureDoesNotMatch", "Specified signature does not match our calculation.")
    await use_nonce(session, access_key_id, nonce, signed_at + MAX_SKEW)
    return key.user


CurrentUser = Annotated[User, Depends(current_user)]


def check_date(value: str | None) -> datetime:
    """The time of signing, if it is close to now."""
    if value is None:
        raise ApiError(400, "MissingTimestamp", "Timestamp is mandatory for this action.")
    try:
        signed_at = datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ApiError(400, "InvalidTimeStamp.Format", "Specified time stamp is not well formatted.") from None
    if abs(datetime.now(UTC) - signed_at) > MAX_SKEW:
        raise ApiError(400, "InvalidTimeStamp.Expired", "Specified time stamp is expired.")
    return signed_at


def canonical_request(request: Request, signed_headers: list[str], body_hash: str) -> str:
    """The text whose hash is signed."""
    query = parse_qsl(request.url.query, keep_blank_values=True)
    escaped = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query)
    return "\n".join(
        [
            request.method,
            request.scope["raw_path"].decode("ascii"),
            "&".join(f"{name}={value}" for name, value in escaped),
            "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in signed_headers),
            ";".join(signed_headers),
            body_hash,
        ]
    )


def sign(canonical: str, secret: str) -> str:
    """The signature of a canonical request."""
    string_to_sign = ALGORITHM + "\n" + hashlib.sha256(canonical.encode()).hexdigest()
    return hmac.new(secret.encode(), string_to_sign.encode(), hashlib.sha256).hexdigest()


async def use_nonce(session: AsyncSession, access_key_id: str, nonce: str, expires_at: datetime) -> None:
    """Remember the nonce, or refuse it if it is known."""
    session.add(Nonce(access_key_id=access_key_id, nonce=nonce, expires_at=expires_at))
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        raise ApiError(400, "SignatureNonceUsed", "Specified signature nonce was used already.") from None


def allowed(action: str, resource: str = "*") -> Callable[..., Awaitable[User]]:
    """A dependency: the current user, if its policies allow the action."""

    async def check(session: Session, user: CurrentUser) -> User:
        policies = await session.scalars(select(Policy).where(Policy.user_id == user.id))
        effects = {
            statement["Effect"]
            for policy in policies
            for statement in json.loads(policy.document)["Statement"]
            if applies(statement, action, resource)
        }
        if "Deny" in effects or "Allow" not in effects:
            raise ApiError(403, "StatusForbidden", f"RAM policy Forbidden for action {action}")
        return user

    return check


def applies(statement: dict[str, str | list[str]], action: str, resource: str) -> bool:
    """Whether a statement speaks about the action and the resource."""
    actions, resources = as_list(statement["Action"]), as_list(statement["Resource"])
    return any(fnmatchcase(action.lower(), each.lower()) for each in actions) and any(
        fnmatchcase(resource, each) for each in resources
    )


def as_list(value: str | list[str]) -> list[str]:
    """One or several as a list."""
    return [value] if isinstance(value, str) else value
