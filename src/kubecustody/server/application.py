"""The ASGI application: probes, and the pipeline that every call of an operation goes through.

1. Refuse plain HTTP from anybody but this machine and declared proxies.
2. Find the operation, from method and path.
3. Read the body, within its size and time.
4. Authenticate: signature, key, nonce. What is proven is limited per key; what is not, per address, and beyond that
   limit it is told no more than to wait. Nobody is refused for what others at their address do.
5. Decode the parameters.
6. Authorise by the caller's policies.
7. Handle. Steps 4 to 7 see one snapshot of the store; what does more than read is handled in a transaction of its own,
   in which the caller is judged once more where anything changed. So for that, steps 4 to 6 may go by what is
   remembered of the caller; what memory does not allow is judged by the store.
8. Encode the result, or the error.
9. Log and count.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kubecustody.catalogue.model import Effect, Operation
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.catalogue.restoring import RESTORE_REMOVAL
from kubecustody.catalogue.shapes import Shape
from kubecustody.catalogue.tasks import CLEAN_USER_PERMISSIONS
from kubecustody.core.errors import (
    AccessDenied,
    InQuarantine,
    MethodUnsupported,
    ProtocolNeedsTls,
    RequestError,
    RequestMalformed,
    ServiceUnavailable,
    SignatureError,
    Throttled,
)
from kubecustody.core.limits import Slots, TokenBuckets
from kubecustody.core.times import format_time
from kubecustody.custody.acts import Act, After
from kubecustody.custody.authentication import Authenticator, Caller, Origin, confirm
from kubecustody.custody.authorisation import Authoriser, MinutesOf
from kubecustody.custody.authorisation import judge as judge_anew
from kubecustody.custody.changes import Author, Change, change
from kubecustody.custody.handlers import (
    ActHandler,
    Changed,
    Result,
    find_act_handler,
    find_read_handler,
    get_change_handler,
)
from kubecustody.custody.installation import Custody
from kubecustody.pages.serving import Pages
from kubecustody.server.access_log import AccessLine, AccessLog
from kubecustody.server.addresses import caller_address, came_by_tls, may_speak_plainly, network_of
from kubecustody.server.bodies import ClientGone, read_body
from kubecustody.server.decoding import decode_input
from kubecustody.server.failed_requests import FailedRequests
from kubecustody.server.json_bodies import takes_body
from kubecustody.server.key_uses import KeyUses
from kubecustody.server.metrics import Metrics
from kubecustody.server.observer import Observer
from kubecustody.server.responses import Answer, ErrorResponder, answer_result
from kubecustody.server.routes import Routes
from kubecustody.server.task_runner import TaskRunner
from kubecustody.settings import Settings
from kubecustody.signing.request import SignedRequest
from kubecustody.store.failed_requests import FailedRequest
from kubecustody.store.installation import find_installation
from kubecustody.store.nonces import NonceTable
from kubecustody.store.transactions import Transaction

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

PAGES = "Pages"  # what stands for an operation in log and metrics

_LIMITED_KEYS = 20_000
_LIMITED_ACCOUNTS = 5_000
_LIMITED_ADDRESSES = 50_000
_SHOWN_PATH = 500
_REMEMBERED_PEERS = 1000
# Each may ask 4 questions at once, of the 64 that the process asks of all clusters.
_ACTS, _ACTS_OF_ONE_ACCOUNT = 8, 4
_ACT_RETRY_MS = 1000
_LARGEST_IDLE_BODY_BYTES = 4096  # of an operation that takes none

_EVERY_CLUSTER = frozenset({0})
# What a store that was just restored may still do: it takes nothing for granted that could let somebody in.
_IN_QUARANTINE = frozenset({Effect.READS, Effect.REMOVES})

log = logging.getLogger("kubecustody.server")


@dataclass(slots=True)
class _Trace:
    """What is known of a request so far, for log and metrics."""

    started: float
    request_id: str
    peer: str
    address: str
    operation: str = ""
    caller: Caller | None = None


class _Judged(NamedTuple):
    """Who may call, with what. lasting: that they may holds while the account's iam_version stays."""

    caller: Caller
    decoded: Shape
    lasting: bool


class Application:
    """Answers the API for one open installation.

    `clock` (unix seconds) is what states are derived by, and `custody.random_bytes` what ids are made from: both
    are arguments, so that tests and recorded examples can fix them. Signatures are judged by the real clock.
    """

    def __init__(
        self,
        settings: Settings,
        custody: Custody,
        nonces: NonceTable,
        *,
        metrics: Metrics,
        access_log: AccessLog,
        clock: Callable[[], float] = time.time,
        operations: Iterable[Operation] = OPERATIONS,
    ) -> None:
        self._settings = settings
        self._custody = custody
        self._clock = clock
        self._routes = Routes(operations)
        self._authenticator = Authenticator(custody, nonces)
        self._authoriser = Authoriser()
        self._pages = Pages(settings.pages_prefix) if settings.pages == "on" else None
        self._errors = ErrorResponder(settings)
        self._metrics = metrics
        self._access_log = access_log
        self._proxies = settings.proxies
        self._plain_peers: set[str] = set()
        self.key_uses = KeyUses(custody.store)
        self.failed_requests = FailedRequests(custody.store, clock)
        self._acts = Slots(_ACTS_OF_ONE_ACCOUNT, _ACTS)
        self.observer = Observer(custody, clock)
        self.tasks = TaskRunner(custody, clock, lambda account_id: self.observer.hurry(account_id, _EVERY_CLUSTER))
        # Each worker counts for itself, so each has its share.
        share = 1 / settings.workers
        self._key_limits = TokenBuckets(
            settings.key_rate_per_second * share, max(1, int(settings.key_burst * share)), _LIMITED_KEYS
        )
        self._account_limits = TokenBuckets(
            settings.account_rate_per_second * share, max(1, int(settings.account_burst * share)), _LIMITED_ACCOUNTS
        )
        self._failure_limits = TokenBuckets(
            settings.failed_signature_rate_per_second, settings.failed_signature_burst, _LIMITED_ADDRESSES
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection event of ASGI."""
        if scope["type"] != "http":
            await _run_lifespan(scope, receive, send)
            return
        if scope["path"] in ("/healthz", "/readyz"):
            answer = await self._answer_probe(scope["path"])
        else:
            try:
                answer = await self._answer_call(scope, receive)
            except ClientGone:
                return
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer_call(self, scope: Scope, receive: Receive) -> Answer:
        peer = scope["client"][0] if scope.get("client") else ""
        trace = _Trace(
            time.perf_counter(), self._new_request_id(), peer, caller_address(peer, scope["headers"], self._proxies)
        )
        try:
            if self._pages is not None and self._pages.covers(scope["path"]):
                answer = self._answer_page(self._pages, scope, trace)
            else:
                answer = answer_result(await self._call(scope, receive, trace), trace.request_id)  # 8
        except RequestError as refused:
            error = self._note_refusal(refused, trace)
            answer = self._errors.answer_error(error, trace.request_id)  # 8
        except ClientGone:
            raise
        except Exception:
            log.exception("request %s failed in an unforeseen way", trace.request_id)
            answer = self._errors.answer_unexpected(trace.request_id)  # 8
        self._note(scope, trace, answer)  # 9
        return answer

    def _answer_page(self, pages: Pages, scope: Scope, trace: _Trace) -> Answer:
        self._check_transport(scope)
        trace.operation = PAGES
        if scope["method"] not in ("GET", "HEAD"):
            raise MethodUnsupported(scope["method"], ("GET", "HEAD"))
        return Answer(*pages.answer(scope["path"], scope["query_string"], scope["headers"]))

    def answer_malformed(self, peer: str) -> Answer:
        """The answer to what is no HTTP, or not HTTP that can be routed; logged and counted like any other."""
        trace = _Trace(time.perf_counter(), self._new_request_id(), peer, peer)
        answer = self._errors.answer_error(RequestMalformed(), trace.request_id)
        self._note({"method": "", "raw_path": b""}, trace, answer)
        return answer

    async def _call(self, scope: Scope, receive: Receive, trace: _Trace) -> Result:
        self._check_transport(scope)  # 1
        raw_path, query_string, headers = scope["raw_path"], scope["query_string"], scope["headers"]
        operation, path_values = self._routes.find(scope["method"], raw_path)  # 2
        trace.operation = operation.name
        limit_bytes = max(self._settings.max_body_bytes, operation.largest_body_bytes)
        if not takes_body(operation):
            limit_bytes = min(limit_bytes, _LARGEST_IDLE_BODY_BYTES)
        body, body_sha256 = await read_body(headers, receive, limit_bytes, self._settings.body_timeout_seconds)  # 3
        request = SignedRequest(scope["method"], raw_path, query_string, headers, body_sha256)

        origin = Origin(trace.address, came_by_tls(scope.get("scheme", "http"), trace.peer, headers, self._proxies))
        reader = find_read_handler(operation.name)
        judged = None if reader else await self._recall(request, operation, path_values, body, trace, origin)
        result: Result = None

        async def work(tx: Transaction) -> tuple[_Judged, Result]:
            if trace.caller is None:  # 4
                trace.caller = await self._authenticator.authenticate(
                    tx, request, operation, time.time(), self._limit_caller, body, origin
                )
            else:  # a store may run a read again, and a nonce is spent once
                trace.caller = await confirm(tx, trace.caller)
            caller = trace.caller
            decoded = decode_input(operation, path_values, query_string, body)  # 5
            now = self._clock()
            minutes = None if reader else self._minutes(tx, caller, decoded, now)
            lasting = await self._authoriser.authorise(tx, caller, operation, path_values, now, minutes)  # 6
            read = await reader(tx, caller, decoded, now) if reader else None  # 7
            return _Judged(caller, decoded, lasting), read

        if judged is None:
            answered = await self._custody.store.read(work)
            judged, result = answered
        if reader is None:
            result = await self._change(operation, path_values, judged, trace)
        if operation.answers_request_id:
            setattr(result, "request_id", trace.request_id)  # noqa: B010 - of whichever shape it is
        return result

    async def _recall(
        self,
        request: SignedRequest,
        operation: Operation,
        path_values: dict[str, bytes],
        body: bytes,
        trace: _Trace,
        origin: Origin,
    ) -> _Judged | None:
        """Steps 4 to 6 of what ends in a transaction, by what is remembered of the caller, which is compared there with
        the store. None: the store is to be asked now.
        """
        if find_act_handler(operation.name) is not None:  # which does something outside the store first
            return None
        trace.caller = caller = self._authenticator.recognise(
            request, operation, time.time(), self._limit_caller, body, origin
        )
        if caller is None or not await self._authoriser.recall(caller, operation, path_values, self._clock()):
            return None
        try:
            decoded = decode_input(operation, path_values, request.query_string, body)
        except RequestError:
            return None  # told once the store has said that the key is alive
        return _Judged(caller, decoded, lasting=True)

    def _minutes(self, tx: Transaction, caller: Caller, decoded: Shape, now: float) -> MinutesOf:
        """The validity that the call would give or return, for a policy that asks for it."""

        async def minutes() -> int | None:
            from kubecustody.custody.issuing import find_validity_minutes

            return await find_validity_minutes(self._custody, tx, caller, decoded, now)

        return minutes

    async def _change(
        self,
        operation: Operation,
        path_values: dict[str, bytes],
        judged: _Judged,
        trace: _Trace,
    ) -> Result:
        """Step 7 of an operation that does more than read: a transaction, or several, in which the caller is judged
        again where a key, a user or a policy of the account changed meanwhile, or where a condition had a part in the
        decision.
        """
        caller, decoded, lasting = judged
        if not operation.effects <= _IN_QUARANTINE and await self._custody.is_quarantined():
            raise InQuarantine
        author = Author(caller.actor, trace.request_id)

        async def judge(unit: Change) -> Caller:
            if lasting and unit.counters.iam_version == caller.iam_version:
                return caller
            self._authenticator.forget(caller.access_key_id)
            still = await confirm(unit.tx, caller)
            minutes = self._minutes(unit.tx, still, decoded, unit.now)
            await judge_anew(unit.tx, still, operation, path_values, unit.now, minutes)
            return still

        act = Act(self._custody, caller, author, self._clock, judge)
        actor = find_act_handler(operation.name)
        if actor is not None:
            answer = await self._act(actor, act, decoded)
            if operation is RESTORE_REMOVAL:  # what it did not come to
                self.observer.hurry(caller.account_id, _EVERY_CLUSTER)
            return answer
        handler = get_change_handler(operation.name)

        stirred: frozenset[int] = frozenset()

        async def work(unit: Change) -> Changed:
            nonlocal stirred
            result = await handler(self._custody, unit, await judge(unit), decoded)
            stirred = unit.stirred
            return result

        result = await change(self._custody.store, caller.account_id, author, self._clock, work)
        if isinstance(result, After):
            result = await result.run(act)
            stirred = _EVERY_CLUSTER
        if stirred:
            self.observer.hurry(caller.account_id, stirred)
        if operation is CLEAN_USER_PERMISSIONS:
            self.tasks.wake()
        return result

    async def _act(self, actor: ActHandler, act: Act, decoded: Shape) -> Result:
        """What an act answers. Few go on at once, so that slow clusters keep no look of the observer waiting."""
        if not self._acts.take(act.account_id):
            raise Throttled("account, for calls that ask clusters", _ACT_RETRY_MS)
        try:
            return await actor(act, decoded)
        finally:
            self._acts.give_back(act.account_id)

    def _new_request_id(self) -> str:
        """A UUID of version 4 in upper case, as the provider writes them."""
        text = self._custody.random_bytes(16).hex().upper()
        variant = "89AB"[int(text[16], 16) & 3]
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"

    def _check_transport(self, scope: Scope) -> None:
        if self._settings.tls == "on":
            return
        peer = scope["client"]
        if peer is None or peer[0] in self._plain_peers:
            return
        if not may_speak_plainly(peer[0], self._proxies):
            raise ProtocolNeedsTls
        if len(self._plain_peers) < _REMEMBERED_PEERS:
            self._plain_peers.add(peer[0])

    def _limit_caller(self, account_id: str, access_key_id: str) -> None:
        now = time.monotonic()
        if wait_ms := self._key_limits.take(access_key_id, now):
            raise Throttled("access key", wait_ms)
        if wait_ms := self._account_limits.take(account_id, now):
            raise Throttled("account", wait_ms)

    def _note_refusal(self, error: RequestError, trace: _Trace) -> RequestError:
        """Count a refusal; the error that is told, which is another where an address failed too often."""
        if isinstance(error, SignatureError):
            self._metrics.count_signature_failure(error.code)
            wait_ms = self._failure_limits.take(network_of(trace.address), time.monotonic())
            if wait_ms:
                return Throttled("address, for failed signatures", wait_ms)
        elif isinstance(error, AccessDenied):
            self._metrics.count_denial(trace.operation)
        elif isinstance(error, ServiceUnavailable):
            log.error("request %s could not be served: %s (%s)", trace.request_id, error.reason, error.__cause__)
        return error

    def _note(self, scope: Scope, trace: _Trace, answer: Answer) -> None:
        seconds = time.perf_counter() - trace.started
        self._metrics.count_request(trace.operation, answer.code, seconds)
        caller = trace.caller
        path = scope["raw_path"][:_SHOWN_PATH].decode("ascii", "backslashreplace")
        if caller is not None:
            self.key_uses.note(caller, time.time())
            if caller.legacy:
                self._metrics.count_legacy_signature(trace.operation)
            if answer.code:
                failed = FailedRequest(
                    trace.request_id,
                    int(self._clock()),
                    caller.actor,
                    trace.operation,
                    scope["method"],
                    path,
                    answer.code,
                    message="",
                )
                self.failed_requests.note(caller.account_id, failed, answer.body)
        self._access_log.write(
            AccessLine(
                format_time(int(time.time())),
                trace.request_id,
                trace.address,
                scope["method"],
                path,
                trace.operation,
                answer.status,
                answer.code,
                caller.account_id if caller else "",
                caller.uid if caller else "",
                caller.access_key_id if caller else "",
                caller is not None and caller.legacy,
                int(seconds * 1_000_000),
            )
        )

    async def _answer_probe(self, path: str) -> Answer:
        """healthz: the process answers. readyz: its store does too."""
        ok = True
        if path == "/readyz":
            try:
                ok = await self._custody.store.read(find_installation) is not None
            except Exception as error:  # whatever it is, the answer must be 503
                log.error("the store does not answer: %s", error)
                ok = False
        body = b"ok\n" if ok else b"the store does not answer\n"
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        return Answer(200 if ok else 503, headers, body)


async def _run_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Say yes to the server's start and stop; whoever made the application opens and closes what it uses."""
    if scope["type"] != "lifespan":
        await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
        await asyncio.sleep(0)
