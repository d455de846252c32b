"""Calling an operation with parameters given as texts, once, without retries: for commands that show what came."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubecustody.catalogue.model import Operation
from kubecustody.client.blocking import Client
from kubecustody.client.flow import NO_RETRIES
from kubecustody.client.wire import Endpoint, values_of_texts


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer: its status, request id, and body as JSON."""

    status: int
    request_id: str
    body: Any


def call_operation(endpoint: Endpoint, operation: Operation, parameters: Mapping[str, str]) -> Reply:
    """The answer to a signed call; parameters by wire name, as text. Raises CallFailed."""
    with Client(endpoint, retries=NO_RETRIES) as client:
        answer = client.call(operation, values_of_texts(operation, parameters))
    return Reply(answer.status, answer.request_id, answer.read_json())
