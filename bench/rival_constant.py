"""What the HTTP server alone can do: an ASGI application that answers one constant JSON body of a page's size."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

BODY = json.dumps(
    {
        "states": [
            {
                "cluster_id": f"c{number:032x}",
                "cluster_name": f"payments-{number:05}",
                "cluster_state": "running",
                "cert_state": "Unexpired" if number % 3 == 0 else "Unissued",
                "cert_expire_time": "2029-11-30T07:41:50Z" if number % 3 == 0 else "",
            }
            for number in range(50)
        ],
        "page": {"page_number": 1, "page_size": 50, "total_count": 1000},
    },
    separators=(",", ":"),
).encode()
HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]

Message = MutableMapping[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The constant answer to every request."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})
