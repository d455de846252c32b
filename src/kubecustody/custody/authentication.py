"""Who sent a request: the signature proven, and what the signature leaves open.

1. The claim is read (`signing.acs3.read_claim`): form, what must be signed, date, body hash, operation. A claim of the
   older signature is read by `signing.roa`, as far as the setting legacy_signatures lets it.
2. The key is found, and is alive, as are its holder and the account. That a key is unknown or disabled is told,
   as the provider does.
3. A permanent key comes without a security token; a temporary one with its own, exact and unexpired, which names its
   holder and its secret (`custody.session_tokens`).
4. The signature is verified with the key's secret (`signing.acs3.verify_signature`).
5. Only then is the nonce recorded, once per key: else anyone could spend another's nonces. The older signature may come
   without one: then a call that only reads may be repeated, since real clients send equal requests within a second, and
   for any other the signature is the nonce.

All of it reads the request's own snapshot, so a key that is disabled is refused at its next request. A caller may be
recognised by what is remembered of their key instead, for a request that ends in a transaction: there the account's
iam_version tells whether all that still holds. Memory lets in until then, and never refuses.
"""

import hashlib
from collections import OrderedDict
from typing import NamedTuple, Protocol, TypeVar

from kubecustody.catalogue.model import API_VERSION, Effect, Operation
from kubecustody.core.errors import (
    AccessKeyInactive,
    AccessKeyNotFound,
    NonceUsed,
    SecurityTokenExpired,
    SecurityTokenForeign,
    SecurityTokenMissing,
    ServiceUnavailable,
    SignatureError,
    SignatureMethodUnknown,
    TimestampExpired,
)
from kubecustody.core.names import PrincipalKind
from kubecustody.core.times import format_time
from kubecustody.custody.installation import Custody
from kubecustody.custody.session_tokens import KEY_PREFIX, Session, open_token
from kubecustody.signing import roa
from kubecustody.signing.acs3 import Claim, read_claim, verify_signature
from kubecustody.signing.request import SignedRequest
from kubecustody.store.callers import KeyHolder, find_key_holder, find_session_holder
from kubecustody.store.nonces import NonceTable, Verdict
from kubecustody.store.transactions import Transaction

_REMEMBERED_SECRETS = 4096
_REMEMBERED_HOLDERS = 4096
_REMEMBERED_TOKENS = 1024
_BEFORE_EVERY_END = 0.0
_ONLY_READS = frozenset({Effect.READS})

K = TypeVar("K")
V = TypeVar("V")


class Origin(NamedTuple):
    """Where a request came from: the caller's address, and whether it came by TLS."""

    address: str
    secure: bool


NOWHERE = Origin("", secure=False)


class Caller(NamedTuple):
    """The principal of a request, as their account stands in the request's snapshot.

    session: of a temporary key; legacy: whether it was signed in the older way.
    """

    account_id: str
    uid: str
    kind: str
    access_key_id: str
    region_id: str
    iam_version: int
    cluster_count: int
    last_cluster_seq: int
    delegated_admin: bool = False
    session: Session | None = None
    origin: Origin = NOWHERE
    legacy: bool = False

    @property
    def arn(self) -> str:
        """The principal's ARN."""
        if self.kind == PrincipalKind.ACCOUNT:
            return f"acs:ram::{self.account_id}:root"
        return f"acs:ram::{self.account_id}:{self.kind}/{self.uid}"

    @property
    def actor(self) -> str:
        """How events name the caller: the principal's ARN, of a session with its name."""
        if self.session is None:
            return self.arn
        return f"acs:ram::{self.account_id}:assumed-role/{self.uid}/{self.session.name}"


class CallerLimit(Protocol):
    """What bounds the requests of one access key and of one account."""

    def __call__(self, account_id: str, access_key_id: str) -> None:
        """Count one request. Raises Throttled."""


class Authenticator:
    """Proves who sent a request. Unsealed secrets are remembered by their sealed form, which changes with them."""

    def __init__(self, custody: Custody, nonces: NonceTable) -> None:
        self._custody = custody
        self._nonces = nonces
        self._secrets: OrderedDict[bytes, bytes] = OrderedDict()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._holders: OrderedDict[str, KeyHolder] = OrderedDict()  # alive when they were seen; of permanent keys

    async def authenticate(
        self,
        tx: Transaction,
        request: SignedRequest,
        operation: Operation,
        now: float,
        limit: CallerLimit,
        body: bytes = b"",
        origin: Origin = NOWHERE,
    ) -> Caller:
        """The caller. Raises SignatureError, ServiceUnavailable, and Throttled where `limit` does.

        `now` is the real clock's: signatures are judged by no other.
        """
        claim = self._read_claim(request, operation, now, body)  # 1
        self._refuse_unvouched(claim, now)
        session = self._find_session(claim.access_key_id, claim.security_token)  # 3
        holder = await _find_holder(tx, claim.access_key_id, session, now)  # 2
        if session is None and operation.effects != _ONLY_READS:
            _remember(self._holders, claim.access_key_id, holder, _REMEMBERED_HOLDERS)
        return self._prove(request, operation, now, limit, claim, session, holder, origin)

    def recognise(
        self,
        request: SignedRequest,
        operation: Operation,
        now: float,
        limit: CallerLimit,
        body: bytes = b"",
        origin: Origin = NOWHERE,
    ) -> Caller | None:
        """The caller by what is remembered of their key; whoever asks compares its iam_version with the store's.

        None where that does not suffice, or the signature does not hold: `authenticate` is to judge. Raises what no key
        has a part in: SignatureError for a request of no right form, NonceUsed, ServiceUnavailable, Throttled.
        """
        claim = self._read_claim(request, operation, now, body)
        self._refuse_unvouched(claim, now)
        holder = self._holders.get(claim.access_key_id)
        if holder is None or claim.security_token is not None:
            return None
        try:
            return self._prove(request, operation, now, limit, claim, None, holder, origin)
        except NonceUsed:
            raise
        except SignatureError:
            return None

    def forget(self, access_key_id: str) -> None:
        """Remember nothing of a key any more."""
        self._holders.pop(access_key_id, None)

    def _prove(
        self,
        request: SignedRequest,
        operation: Operation,
        now: float,
        limit: CallerLimit,
        claim: Claim | roa.RoaClaim,
        session: Session | None,
        holder: KeyHolder,
        origin: Origin,
    ) -> Caller:
        secret = self._secret(holder, claim.access_key_id) if session is None else session.secret.encode()
        if isinstance(claim, Claim):  # 4
            verify_signature(request, claim, secret)
            nonce: str | None = claim.nonce
        else:
            roa.verify_signature(request, claim, secret)
            nonce = claim.nonce or (None if operation.effects == _ONLY_READS else claim.signature.hex())
        limit(holder.account_id, claim.access_key_id)
        if nonce is not None:  # 5
            self._spend_nonce(claim, nonce, holder, now)
        return _caller(holder, claim.access_key_id, session, origin, legacy=not isinstance(claim, Claim))

    def _find_session(self, access_key_id: str, token: str | None) -> Session | None:
        """The session of a temporary key, None for a permanent one.

        Raises SecurityTokenMissing, SecurityTokenMalformed, SecurityTokenForeign.
        """
        if not access_key_id.startswith(KEY_PREFIX):
            if token is not None:
                raise SecurityTokenForeign(access_key_id)
            return None
        if token is None:
            raise SecurityTokenMissing(access_key_id)
        session = self._sessions.get(token)
        if session is None:
            session = open_token(self._custody.open_session_token, token)
            _remember(self._sessions, token, session, _REMEMBERED_TOKENS)
        if session.access_key_id != access_key_id:
            raise SecurityTokenForeign(access_key_id)
        return session

    def _read_claim(
        self, request: SignedRequest, operation: Operation, now: float, body: bytes
    ) -> Claim | roa.RoaClaim:
        try:
            return read_claim(request, now=now, action=operation.name, version=API_VERSION)
        except SignatureMethodUnknown as unknown:
            legacy = self._custody.settings.legacy_signatures
            taken = legacy == "on" or (legacy == "reads" and operation.effects == _ONLY_READS)
            if unknown.method != roa.SCHEME.decode() or not taken:
                raise
        md5 = hashlib.md5(body, usedforsecurity=False).digest() if body else None
        return roa.read_claim(request, now=now, action=operation.name, version=API_VERSION, body_md5=md5)

    def _refuse_unvouched(self, claim: Claim | roa.RoaClaim, now: float) -> None:
        if claim.signed_at < self._custody.restored_at:
            raise TimestampExpired(
                format_time(claim.signed_at),
                format_time(int(now)),
                "The server was restored from a backup after this request was signed, and cannot tell whether it was "
                "made before: sign it again and retry.",
            )
        if claim.signed_at < self._nonces.refuse_before:
            raise TimestampExpired(
                format_time(claim.signed_at),
                format_time(int(now)),
                "The server started without its record of nonces and cannot tell whether this request was made "
                "before: sign it again and retry.",
            )

    def _secret(self, holder: KeyHolder, access_key_id: str) -> bytes:
        sealed = holder.sealed_secret or b""
        secret = self._secrets.get(sealed)
        if secret is None:
            secret = self._custody.open_access_key_secret(holder.account_id, access_key_id, sealed)
            _remember(self._secrets, sealed, secret, _REMEMBERED_SECRETS)
        return secret

    def _spend_nonce(self, claim: Claim | roa.RoaClaim, nonce: str, holder: KeyHolder, now: float) -> None:
        verdict = self._nonces.spend(holder.account_id, claim.access_key_id, nonce, claim.nonce_expires_at, now)
        if verdict is Verdict.USED:
            raise NonceUsed(nonce)
        if verdict is Verdict.FULL:
            raise ServiceUnavailable("the record of nonces is full (setting nonce_slots)", retry_after_ms=60_000)


async def confirm(tx: Transaction, caller: Caller) -> Caller:
    """The caller as their account stands in this later snapshot. Raises what `authenticate` raises of the key.

    The end of a session does not count: what was begun in it may be finished.
    """
    holder = await _find_holder(tx, caller.access_key_id, caller.session, _BEFORE_EVERY_END)
    return _caller(holder, caller.access_key_id, caller.session, caller.origin, legacy=caller.legacy)


def _remember(memory: "OrderedDict[K, V]", key: K, value: V, at_most: int) -> None:
    memory[key] = value
    if len(memory) > at_most:
        memory.popitem(last=False)


async def _find_holder(tx: Transaction, access_key_id: str, session: Session | None, now: float) -> KeyHolder:
    """Who holds the key. Raises AccessKeyNotFound, AccessKeyInactive, SecurityTokenExpired."""
    if session is None:
        return _check_alive(access_key_id, await find_key_holder(tx, access_key_id))
    if now > session.ends_at:
        raise SecurityTokenExpired(f"it ended at {format_time(session.ends_at)}")
    holder = _check_alive(access_key_id, await find_session_holder(tx, session.account_id, session.uid))
    if holder.sessions_from is not None and session.begins_at < holder.sessions_from:
        raise SecurityTokenExpired("every session of the role that was begun before it was ended")
    return holder


def _caller(holder: KeyHolder, access_key_id: str, session: Session | None, origin: Origin, *, legacy: bool) -> Caller:
    return Caller(
        holder.account_id,
        holder.uid,
        holder.kind,
        access_key_id,
        holder.region_id,
        holder.iam_version,
        holder.cluster_count,
        holder.last_cluster_seq,
        bool(holder.delegated_admin),
        session,
        origin,
        legacy,
    )


def _check_alive(access_key_id: str, holder: KeyHolder | None) -> KeyHolder:
    if (
        holder is None
        or holder.key_deleted_at is not None
        or holder.holder_deleted_at is not None
        or holder.account_closed_at is not None
    ):
        raise AccessKeyNotFound(access_key_id)
    if holder.key_disabled_at is not None or holder.holder_disabled_at is not None:
        raise AccessKeyInactive(access_key_id)
    return holder
