"""Our own client of the API, blocking and asynchronous, derived from the catalogue.

    from kubecustody.client import Client, Endpoint

    with Client(Endpoint("https://custody.example:8443", key_id, secret)) as client:
        for row in client.list_user_kube_config_states(uid="200000000000000001").states:
            print(row.cluster_name, row.cert_state)

`AsyncClient` (in `kubecustody.client.asynchronous`, which needs aiohttp) has the same methods, awaited. Every
operation is a method; what it answers is typed. Errors: ApiError (the server's, with code and request id), CallFailed
(no answer).
"""

from kubecustody.client.blocking import Client
from kubecustody.client.flow import NO_RETRIES, Retries
from kubecustody.client.wire import ApiError, CallFailed, Endpoint

__all__ = ["NO_RETRIES", "ApiError", "CallFailed", "Client", "Endpoint", "Retries"]
