"""Tables as ORM models, and the database that holds a fleet."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, ForeignKey, Index, String, TypeDecorator, UniqueConstraint, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from bench.fleet import Fleet


class UtcDateTime(TypeDecorator[datetime]):
    """SQLite keeps no time zone; all times here are UTC."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Without zone, as SQLite stores it."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """Aware again."""
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """The tables."""


class Cluster(Base):
    """A cluster of an account."""

    __tablename__ = "clusters"
    __table_args__ = (Index("ix_clusters_account_id_id", "account_id", "id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(String(32))
    cluster_id: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(63))
    state: Mapped[str] = mapped_column(String(32))


class User(Base):
    """A user of an account, with its attached policies."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(String(32), index=True)
    uid: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str] = mapped_column(String(64))
    policies: Mapped[list["Policy"]] = relationship(back_populates="user")


class AccessKey(Base):
    """An access key of a user."""

    __tablename__ = "access_keys"
    access_key_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    secret: Mapped[str] = mapped_column(String(64))
    active: Mapped[bool] = mapped_column(default=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    user: Mapped[User] = relationship()


class Policy(Base):
    """A policy attached to a user."""

    __tablename__ = "policies"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(128))
    document: Mapped[str]
    user: Mapped[User] = relationship(back_populates="policies")


class Credential(Base):
    """An issued certificate."""

    __tablename__ = "credentials"
    __table_args__ = (Index("ix_credentials_user_id_cluster_id", "user_id", "cluster_id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    cluster_id: Mapped[int] = mapped_column(ForeignKey("clusters.id"))
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
    not_after: Mapped[datetime] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=None)


class Nonce(Base):
    """A nonce that was used."""

    __tablename__ = "nonces"
    __table_args__ = (UniqueConstraint("access_key_id", "nonce"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    access_key_id: Mapped[str] = mapped_column(String(64))
    nonce: Mapped[str] = mapped_column(String(128))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


def open_database(path: Path) -> AsyncEngine:
    """The engine for a SQLite file."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    @event.listens_for(engine.sync_engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.execute("PRAGMA busy_timeout = 5000")
        cursor.close()

    return engine


def session_factory(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Sessions, one for each request."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def create_database(path: Path, data: Fleet) -> None:
    """A new database that holds the fleet."""
    engine = open_database(path)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with session_factory(engine)() as session:
        user = User(account_id=data.account_id, uid=data.user_uid, name=data.user_name)
        clusters = [
            Cluster(account_id=data.account_id, cluster_id=each.cluster_id, name=each.name, state=each.state)
            for each in data.clusters
        ]
        session.add_all([user, *clusters])
        await session.flush()
        session.add(AccessKey(access_key_id=data.access_key_id, secret=data.access_key_secret, user_id=user.id))
        session.add(Policy(user_id=user.id, name=data.policy_name, document=data.policy_document))
        session.add_all(
            Credential(
                user_id=user.id,
                cluster_id=clusters[each.cluster].id,
                not_before=each.not_before,
                not_after=each.not_after,
            )
            for each in data.credentials
        )
        await session.commit()
    await engine.dispose()
