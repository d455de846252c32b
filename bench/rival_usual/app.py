"""The hot call the usual way: FastAPI, pydantic response models, SQLAlchemy ORM, one session a request.

Settings: RIVAL_DATABASE and RIVAL_LOG, paths of the database and of the access log.
"""

import asyncio
import json
import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from bench.rival_usual.models import Cluster, Credential, Nonce, User, open_database, session_factory
from bench.rival_usual.security import ApiError, Session, allowed

REQUESTS = Counter("http_requests_total", "Requests", ["method", "route", "status"])
DURATION = Histogram("http_request_duration_seconds", "Time to answer", ["method", "route"])
log = logging.getLogger("rival.access")


class State(BaseModel):
    """The kubeconfig of one user for one cluster."""

    cluster_id: str
    cluster_name: str
    cluster_state: str
    cert_state: str
    cert_expire_time: str


class Page(BaseModel):
    """Where in the list."""

    page_number: int
    page_size: int
    total_count: int


class StatesPage(BaseModel):
    """One page of states."""

    states: list[State]
    page: Page


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the database and the log; forget old nonces once a minute."""
    handler = logging.FileHandler(os.environ["RIVAL_LOG"])
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    engine = open_database(Path(os.environ["RIVAL_DATABASE"]))
    app.state.sessions = session_factory(engine)
    cleaner = asyncio.create_task(forget_old_nonces(app.state.sessions))
    yield
    cleaner.cancel()
    with suppress(asyncio.CancelledError):
        await cleaner
    await engine.dispose()


async def forget_old_nonces(sessions: async_sessionmaker[AsyncSession]) -> None:
    """Delete what can no longer be repeated."""
    while True:
        await asyncio.sleep(60)
        async with sessions() as session:
            await session.execute(delete(Nonce).where(Nonce.expires_at < datetime.now(UTC)))
            await session.commit()


app = FastAPI(title="kubeconfig states", lifespan=lifespan)


@app.middleware("http")
async def observe(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Request id, access log and metrics of every request."""
    started = time.perf_counter()
    request.state.request_id = str(uuid.uuid4()).upper()
    response = await call_next(request)
    seconds = time.perf_counter() - started
    response.headers["x-acs-request-id"] = request.state.request_id
    route = getattr(request.scope.get("route"), "path", "none")
    REQUESTS.labels(request.method, route, response.status_code).inc()
    DURATION.labels(request.method, route).observe(seconds)
    log.info(
        json.dumps(
            {
                "time": datetime.now(UTC).isoformat(),
                "request_id": request.state.request_id,
                "method": request.method,
                "path": request.url.path,
                "status": response.status_code,
                "duration_ms": round(seconds * 1000, 3),
                "client": request.client.host if request.client else None,
            }
        )
    )
    return response


@app.exception_handler(ApiError)
async def answer_error(request: Request, error: ApiError) -> JSONResponse:
    """The error in the provider's form."""
    body = {"RequestId": request.state.request_id, "Code": error.code, "Message": error.message}
    return JSONResponse(body, status_code=error.status)


@app.get("/users/{uid}/kubeconfig/states")
async def list_user_kubeconfig_states(
    uid: str,
    session: Session,
    caller: Annotated[User, Depends(allowed("cs:ListUserKubeConfigStates"))],
    page_number: Annotated[int, Query(ge=1)] = 1,
    page_size: Annotated[int, Query(ge=1, le=100)] = 50,
) -> StatesPage:
    """One page of the clusters of the account, with the state of the user's certificate for each."""
    user = await session.scalar(select(User).where(User.uid == uid, User.account_id == caller.account_id))
    if user is None:
        raise ApiError(404, "EntityNotExist.User", "The user does not exist.")
    in_account = Cluster.account_id == caller.account_id
    total = await session.scalar(select(func.count()).select_from(Cluster).where(in_account))
    offset = (page_number - 1) * page_size
    clusters = (
        await session.scalars(select(Cluster).where(in_account).order_by(Cluster.id).limit(page_size).offset(offset))
    ).all()
    credentials = await session.scalars(
        select(Credential).where(
            Credential.user_id == user.id, Credential.cluster_id.in_([cluster.id for cluster in clusters])
        )
    )
    by_cluster: dict[int, list[Credential]] = {}
    for credential in credentials:
        by_cluster.setdefault(credential.cluster_id, []).append(credential)
    now = datetime.now(UTC)
    return StatesPage(
        states=[state_of(cluster, by_cluster.get(cluster.id, []), now) for cluster in clusters],
        page=Page(page_number=page_number, page_size=page_size, total_count=total or 0),
    )


def state_of(cluster: Cluster, credentials: list[Credential], now: datetime) -> State:
    """The state of a user's certificates for one cluster."""
    kept = [credential for credential in credentials if credential.removed_at is None]
    expire_time = ""
    if not credentials:
        cert_state = "Unissued"
    elif not kept:
        cert_state = "Removed"
    else:
        latest = max(credential.not_after for credential in kept)
        cert_state = "Unexpired" if latest >= now else "Expired"
        expire_time = latest.strftime("%Y-%m-%dT%H:%M:%SZ")
    return State(
        cluster_id=cluster.cluster_id,
        cluster_name=cluster.name,
        cluster_state=cluster.state,
        cert_state=cert_state,
        cert_expire_time=expire_time,
    )


@app.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Metrics in the text form of Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.get("/healthz", include_in_schema=False)
async def healthz() -> dict[str, str]:
    """Alive."""
    return {"status": "ok"}
