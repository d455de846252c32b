"""Calling by either client in one way, and an estate to call."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installations import Installation, RunningServer
from kubecustody.client import Endpoint, Retries
from kubecustody.client.asynchronous import AsyncClient
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import NewAccessKey, add_access_key, add_principal

Connect = Callable[..., Any]
QUICK = Retries(attempts=4, longest_wait_seconds=0.02)


class Awaited:
    """An AsyncClient whose methods are awaited on the spot."""

    def __init__(self, endpoint: Endpoint, **named: Any) -> None:
        self.runner = asyncio.Runner()
        self.client = AsyncClient(endpoint, **named)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.client, name)
        return lambda *arguments, **named: self.runner.run(method(*arguments, **named))

    def rest(self, seconds: float) -> None:
        self.runner.run(asyncio.sleep(seconds))

    def close(self) -> None:
        self.runner.run(self.client.close())

    def end(self) -> None:
        self.close()
        self.runner.close()


def rest(client: Any, seconds: float) -> None:
    """Let time pass, in the client's loop where it has one."""
    (client.rest if isinstance(client, Awaited) else time.sleep)(seconds)


@dataclass
class Estate:
    """An installation served over TLS; `clusters`: their ids by name, all of which issue."""

    installation: Installation
    server: RunningServer
    clusters: dict[str, str]

    @property
    def path(self) -> Path:
        return self.installation.settings.store_file

    @property
    def account(self) -> Endpoint:
        return self.endpoint(self.installation.key)

    def endpoint(self, key: NewAccessKey, **named: Any) -> Endpoint:
        given = {"ca_file": self.installation.settings.tls_root_file, **named}
        return Endpoint(self.server.url, key.access_key_id, key.secret, **given)

    def add(self, name: str, *policies: str, kind: PrincipalKind = PrincipalKind.USER) -> NewAccessKey:
        uid = self.installation.change(add_principal, kind=kind, name=name)
        for policy in policies:
            self.installation.change(set_attachment, policy, attached=True, user=uid)
        key = self.installation.change(add_access_key, uid)
        assert isinstance(key, NewAccessKey)
        return key
