"""A question to an API server and the document that is its answer, or the error."""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

from kubecustody.cluster import documents
from kubecustody.cluster.access import Access
from kubecustody.cluster.connections import Answer, Connections
from kubecustody.cluster.errors import NotKubernetes, StatusError, TooBig, status_error

Document = TypeVar("Document")
Item = TypeVar("Item")

MANAGER = "kubecustody"
MOST_ITEMS = 20_000
PAGE_ITEMS = 500
MOST_PAGES = 200  # who always has one more, and nothing on it, is not read for ever

JSON = "application/json"
NAMES_ALONE = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

# What a foreign document makes of msgspec: no JSON, another shape, no UTF-8, nested a thousand times.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
NO_SUCH_PATH = (b"404 page not found", b"404: Page Not Found")


class Api:
    """The API of one server, as an access lets it be asked."""

    def __init__(self, connections: Connections, access: Access) -> None:
        self._connections, self._access = connections, access

    async def list_names(self, path: str) -> list[str]:
        """The names of all objects of a path, sorted."""
        return sorted(one.metadata.name for one in await self.list_items(path, documents.Named, accept=NAMES_ALONE))

    async def list_items(
        self,
        path: str,
        item: type[Item],
        *,
        query: Mapping[str, str] = {},
        accept: str = JSON,
        already: int = 0,
    ) -> list[Item]:
        """All items, page by page. Raises TooBig where they, and as many as there are already, are more than 20,000."""
        found: list[Item] = []
        token = ""
        for _ in range(MOST_PAGES):
            more = {**query, "limit": str(PAGE_ITEMS), **({"continue": token} if token else {})}
            page = await self.ask("GET", path, documents.List[item], query=more, accept=accept)  # type: ignore[valid-type]
            found += page.items or ()
            if already + len(found) > MOST_ITEMS:
                break
            token = page.metadata.continue_
            if not token:
                return found
        raise TooBig(f"{self.asked('GET', path)}: there are more than {MOST_ITEMS} of them.")

    async def delete(self, path: str, preconditions: Mapping[str, str]) -> None:
        """Let there be no such object. Raises Conflict unless it has this uid and resourceVersion, as far as given."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            options["preconditions"] = dict(preconditions)
        await self.ask("DELETE", path, dict[str, Any], body=options)

    async def ask(
        self,
        method: str,
        path: str,
        expected: type[Document],
        *,
        query: Mapping[str, str] = {},
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Document:
        """The document that is answered. Raises ClusterError."""
        answer = await self.send(method, path, query=query, body=body, content_type=content_type, accept=accept)
        return self.decoded(method, path, answer, expected)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = {},
        body: object = None,
        content_type: str = JSON,
        accept: str = JSON,
    ) -> Answer:
        """What is answered, whatever its status. Raises ClusterError where nothing is."""
        headers = {"Accept": accept, "User-Agent": MANAGER}
        if self._access.token is not None:
            headers["Authorization"] = f"Bearer {self._access.token}"
        if body is not None:
            headers["Content-Type"] = content_type
        if method in ("POST", "PUT", "PATCH"):
            query = {**query, "fieldManager": MANAGER}
        return await self._connections.send(
            self._access,
            method,
            f"{self._access.endpoint}{path}{'?' + urlencode(query) if query else ''}",
            asked=self.asked(method, path),
            headers=headers,
            body=None if body is None else msgspec.json.encode(body),
        )

    def asked(self, method: str, path: str) -> str:
        """What is asked of whom, for errors."""
        return f"{method} {self._access.endpoint}{path}"

    def decoded(self, method: str, path: str, answer: Answer, expected: type[Document]) -> Document:
        """The document that an answer is. Raises ClusterError."""
        if not 200 <= answer.status < 300:
            raise self._refusal(method, path, answer)
        if answer.content_type != JSON:
            raise NotKubernetes(f"{self.asked(method, path)}: the answer is not JSON.")
        try:
            return msgspec.json.decode(answer.body, type=expected)
        except UNREADABLE:
            # What msgspec says may repeat a name of the answer's making.
            raise NotKubernetes(f"{self.asked(method, path)}: the answer is none of Kubernetes' making.") from None

    def converted(self, method: str, path: str, document: object, expected: type[Document]) -> Document:
        """A part of an answer in its shape. Raises NotKubernetes."""
        try:
            return msgspec.convert(document, expected)
        except msgspec.ValidationError:
            raise NotKubernetes(f"{self.asked(method, path)}: the answer is none of Kubernetes' making.") from None

    def _refusal(self, method: str, path: str, answer: Answer) -> StatusError | NotKubernetes:
        """The error for an answer that is none of success.

        What stands in the way may say 401 or 403 too, and must not be taken for the cluster: these count as a Status
        only. 429 and 5xx come from load balancers, and from Kubernetes as plain text as well.
        """
        asked, status = self.asked(method, path), status_of(answer)
        as_text = answer.status == 429 or answer.status >= 500
        as_text = as_text or (answer.status == 404 and answer.body.startswith(NO_SUCH_PATH))
        if answer.status < 400 or (status is None and not as_text):
            return NotKubernetes(f"{asked}: what answers {answer.status} is no Kubernetes API server.")
        return status_error(asked, answer.status, status.reason if status else "", answer.retry_after)


def status_of(answer: Answer) -> documents.Status | None:
    """The Kubernetes Status in an answer, None where it is something else."""
    if answer.content_type != JSON:
        return None
    try:
        status = msgspec.json.decode(answer.body, type=documents.Status)
    except UNREADABLE:
        return None
    return status if status.kind == "Status" else None
