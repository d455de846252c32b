"""Examples of every operation, recorded by running it on the demo's fleet, at one time and with one set of ids.

What is never the same twice, or is secret, is masked: keys, certificates, fingerprints, signatures. Operations that
call a cluster cannot be run on a fleet of records: theirs are recorded by the tier control_plane (`recorded.json`).
"""

import asyncio
import json
import random
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry

from kubecustody.catalogue.model import API_VERSION, Operation
from kubecustody.catalogue.operations import OPERATIONS, get_operation
from kubecustody.catalogue.shapes import Location, find_whole, members_of
from kubecustody.cli.demo_fleet import DemoFleet, make_fleet
from kubecustody.custody.installation import open_custody
from kubecustody.server.access_log import AccessLog
from kubecustody.server.application import Application
from kubecustody.server.metrics import Metrics
from kubecustody.settings import Settings, load_settings
from kubecustody.signing.acs3 import sign_request
from kubecustody.store.nonces import NonceTable

NOW = 1_795_514_400  # 2026-11-24T10:00:00Z
HOST = "custody.example.com:8443"
MASK = "****"
RECORDED = Path(__file__).parent / "recorded.json"
# Those that call a cluster.
ON_A_CLUSTER = frozenset({"RegisterCluster", "ApplyClusters", "TestCluster", "ManageCluster"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an operation. Values are by wire name; {NAME} in them is filled from the fleet or from `before`,
    calls made first, whose answers' members are known by their names.
    """

    operation: str
    values: Mapping[str, Any] = field(default_factory=dict)
    before: tuple["Call", ...] = ()
    caller: str = "account"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Example:
    """A request and its answer, as they are shown. body: JSON, "" for none."""

    request: str
    body: str
    status: int
    answer: str


_CLEAN = Call("CleanUserPermissions", {"Uid": "{bob}", "ClusterIds": "{prod-eu},{build}", "Force": "true"})
_GRANT = Call(
    "GrantPermissions",
    {"uid": "{alice}", "body": [{"cluster": "{prod-eu}", "role_type": "cluster", "role_name": "ops"}]},
)
_ISSUE = Call("IssueCredential", {"ClusterId": "{prod-eu}", "Csr": "{csr}", "TemporaryDurationMinutes": 60})
_REVOKE = Call(
    "RevokeCredential",
    {"ClusterId": "{prod-eu}", "Credential": "{fingerprint}", "Reason": "found in a public repository"},
    (_ISSUE,),
)
# What is called where the catalogue's own examples do not say it: every other parameter is left out.
CALLS = (
    Call("ListUserKubeConfigStates", {"Uid": "{alice}", "page_number": "1", "page_size": "10"}),
    Call("ListUserKubeConfigStates", {"Uid": "{alice}", "page_size": "1", "detail": "true"}),
    Call("DescribeClusterUserKubeconfig", {"ClusterId": "{prod-eu}", "TemporaryDurationMinutes": "15"}),
    Call("UpdateK8sClusterUserConfigExpire", {"ClusterId": "{prod-eu}", "expire_hour": 720, "user": "{alice}"}),
    Call("RemoveCluster", {"ClusterId": "{staging}", "Removal": "leave", "DryRun": True}),
    Call("CleanClusterUserPermissions", {"ClusterId": "{prod-eu}", "Uid": "{bob}", "Force": "true"}),
    _CLEAN,
    Call("CleanUserPermissions", {"Uid": "{bob}", "Force": "true", "DryRun": "true"}),
    _GRANT,
    Call(
        "UpdateUserPermissions",
        {
            "uid": "{alice}",
            "mode": "patch",
            "body": [
                {"cluster": "{staging}", "role_type": "namespace", "namespace": "default", "role_name": "dev"},
            ],
        },
    ),
    Call("DescribeUserPermission", {"uid": "{alice}"}, (_GRANT,)),
    Call(
        "DescribeUserClusterNamespaces",
        {"ClusterId": "{prod-eu}"},
        (
            Call(
                "GrantPermissions",
                {
                    "uid": "{admin}",
                    "body": [
                        {"cluster": "{prod-eu}", "role_type": "namespace", "namespace": name, "role_name": "dev"}
                        for name in ("default", "shop")
                    ],
                },
            ),
        ),
        caller="admin",
    ),
    Call("DescribeTaskInfo", {"task_id": "{task_id}"}, (_CLEAN,)),
    Call("DescribeClusterTasks", {"cluster_id": "{prod-eu}"}, (_CLEAN,)),
    Call("DescribeUserClusterActivityState", {"ClusterId": "{prod-eu}", "uid": "{alice}"}, status=400),
    Call("CheckServiceRole", {"roles": [{"name": "AliyunCSDefaultRole"}]}),
    Call("DescribeClustersForRegion", {"region_id": "local", "page_size": "2"}),
    Call("DescribeClustersV1", {"page_size": "2"}),
    Call("DescribeClusters", {"name": "prod-eu"}),
    _ISSUE,
    Call("DescribeUser", {"Who": "Alice"}),
    Call("ListCredentials", {"Uid": "{alice}", "State": "Live", "MaxResults": "2"}),
    Call("ListEvents", {"MaxResults": "2"}),
    Call("ListOwnEvents", {"MaxResults": "2"}),
    Call("DescribeCredential", {"ClusterId": "{prod-eu}", "Credential": "{fingerprint}"}, (_ISSUE,)),
    _REVOKE,
    Call("ListRestorableCredentials", {}, (_ISSUE, _REVOKE)),
    Call(
        "RestoreCredential",
        {"ClusterId": "{prod-eu}", "Credential": "{fingerprint}", "Reason": "revoked by mistake"},
        (_ISSUE, _REVOKE),
    ),
    Call(
        "RestoreRemoval",
        {"Uid": "{bob}", "RemovedFrom": "2026-11-24T10:00:00Z", "Reason": "cleaned by mistake", "DryRun": "true"},
        (
            Call(
                "GrantPermissions",
                {"uid": "{bob}", "body": [{"cluster": "{prod-eu}", "role_type": "cluster", "role_name": "ops"}]},
            ),
            Call("CleanClusterUserPermissions", {"ClusterId": "{prod-eu}", "Uid": "{bob}", "Force": "true"}),
        ),
    ),
    Call(
        "DescribeRequestError",
        {"RequestId": "{RequestId}"},
        (Call("DescribeClusterDetail", {"ClusterId": "c0000000000000000000000000000000f"}),),
    ),
)


def record_examples() -> dict[str, list[Example]]:
    """To each operation its examples. Raises ValueError where a call does not answer what it should."""
    with tempfile.TemporaryDirectory() as folder:
        fleet, settings = _make(Path(folder) / "data")
        return {operation.name: _examples(operation, fleet, settings) for operation in OPERATIONS}


def _make(folder: Path) -> tuple[DemoFleet, Settings]:
    settings = load_settings({}, {"data_dir": str(folder), "tls": "off", "public_url": f"https://{HOST}"})
    return make_fleet(settings, lambda: NOW, random.Random(1).randbytes), settings  # noqa: S311 - the same each time


def _examples(operation: Operation, fleet: DemoFleet, settings: Settings) -> list[Example]:
    if operation.name in ON_A_CLUSTER:
        recorded = json.loads(RECORDED.read_text("utf-8")) if RECORDED.exists() else {}
        return [Example(**one) for one in recorded.get(operation.name, [])]
    calls = [call for call in CALLS if call.operation == operation.name] or [_usual_call(operation)]
    return [_record(call, fleet, settings) for call in calls]


def _usual_call(operation: Operation) -> Call:
    """The call with what must be given, each as the fleet or the catalogue has it."""
    ours = {"clusterid": "{prod-eu}", "cluster_id": "{prod-eu}", "uid": "{alice}"}
    values = {
        member.wire_name: ours.get(member.wire_name.lower(), member.about.example)
        for member in members_of(operation.input)
        if member.required
    }
    return Call(operation.name, values)


def _record(call: Call, fleet: DemoFleet, settings: Settings) -> Example:
    """Run a call on a copy of the fleet, after those that it needs before it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "data"
        shutil.copytree(settings.data_dir, copy)
        moved = load_settings(
            {},
            {
                "data_dir": str(copy),
                "key_ring_file": str(settings.key_ring_file),
                "tls": "off",
                "public_url": f"https://{HOST}",
            },
        )
        return asyncio.run(_run(call, fleet, moved))


async def _run(call: Call, fleet: DemoFleet, settings: Settings) -> Example:
    seed = sum(call.operation.encode())
    store, custody = await open_custody(settings, random_bytes=random.Random(seed).randbytes)  # noqa: S311
    known = {**fleet.uids, **fleet.clusters, "csr": _certificate_request()}
    try:
        with NonceTable.open(settings.nonces_file, now=time.time(), slots=settings.nonce_slots) as nonces:
            application = Application(
                settings,
                custody,
                nonces,
                metrics=Metrics(CollectorRegistry()),
                access_log=AccessLog(None),
                clock=lambda: NOW,
            )
            for one in call.before:
                _, _, _, answer = await _send(one, application, fleet, known)
                known.update(json.loads(answer))
            await application.failed_requests.write()
            request, body, status, answer = await _send(call, application, fleet, known)
            await application.tasks.close()  # else they read on in a store that was closed
    finally:
        store.close()
    if status != call.status:
        raise ValueError(
            f"the example of {call.operation} answers {answer}; say in docs/making/examples.py how to call"
        )
    return Example(mask(request), mask(body), status, mask(_pretty(answer)))


async def _send(
    call: Call, application: Application, fleet: DemoFleet, known: Mapping[str, str]
) -> tuple[str, str, int, str]:
    operation = get_operation(call.operation)
    path, query, body = request_parts(operation, _fill(call.values, known))
    key = fleet.keys[call.caller]
    signed = sign_request(
        method=operation.method,
        path=path,
        query=query,
        host=HOST,
        action=operation.name,
        version=API_VERSION,
        access_key_id=key.access_key_id,
        secret=key.secret.encode(),
        signed_at=int(time.time()),
        nonce=random.SystemRandom().randbytes(16).hex(),
        body=body,
    )
    raw_path, _, query_string = signed.target.partition("?")
    scope = {
        "type": "http",
        "method": operation.method,
        "scheme": "http",
        "path": path,
        "raw_path": raw_path.encode(),
        "query_string": query_string.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in signed.headers],
        "client": ("127.0.0.1", 1),
    }
    scope["headers"].append((b"content-length", b"%d" % len(body)))
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await application(scope, receive, send)
    return (
        show_request(operation, signed.target, has_body=bool(body)),
        json.dumps(json.loads(body), indent=2, ensure_ascii=False) if body else "",
        sent[0]["status"],
        sent[1]["body"].decode(),
    )


def request_parts(operation: Operation, values: Mapping[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    """Path, query and body of a call with these values by wire name."""
    path, query, document = operation.path, [], {}
    whole = find_whole(operation.input)
    for member in members_of(operation.input):
        value = values.get(member.wire_name)
        if member.about.location is Location.PATH:
            path = path.replace(f"{{{member.wire_name}}}", quote(str(value or ""), safe=""))
        elif value is not None and member.about.location is Location.QUERY:
            query.append((member.wire_name, str(value)))
        elif value is not None:
            document[member.wire_name] = value
    content = document.get(whole.wire_name) if whole else document
    return path, query, json.dumps(content, ensure_ascii=False).encode() if content else b""


def show_request(operation: Operation, target: str, *, has_body: bool) -> str:
    """The head of a request, as a reader needs it."""
    lines = [
        f"{operation.method} {target} HTTP/1.1",
        f"host: {HOST}",
        f"x-acs-action: {operation.name}",
        f"x-acs-version: {API_VERSION}",
        f"x-acs-date: {MASK}",
        f"x-acs-signature-nonce: {MASK}",
        f"x-acs-content-sha256: {MASK}",
        f"Authorization: ACS3-HMAC-SHA256 Credential={MASK},SignedHeaders={MASK},Signature={MASK}",
    ]
    if has_body:
        lines.append("content-type: application/json")
    return "\n".join(lines)


def _fill(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{([\w-]+)\}", lambda found: known[found[1]], value)
    if isinstance(value, list):
        return [_fill(item, known) for item in value]
    if isinstance(value, Mapping):
        return {name: _fill(item, known) for name, item in value.items()}
    return value


def _pretty(answer: str) -> str:
    return json.dumps(json.loads(answer), indent=2, ensure_ascii=False)


def mask(text: str) -> str:
    """The text without what is secret or made anew each time: keys, certificates, fingerprints, signatures."""
    text = re.sub(r"(-----BEGIN ([A-Z ]+)-----).*?(-----END \2-----)", rf"\1\\n{MASK}\\n\3", text, flags=re.DOTALL)
    text = re.sub(r"((?:certificate-authority|client-certificate|client-key)-data: )[\w+/=]+", rf"\1{MASK}", text)
    text = re.sub(r'("(?:fingerprint|serial|plan_hash)": ")[0-9a-f]+', rf"\1{MASK}", text)
    return re.sub(r"\b[0-9a-f]{64}\b", MASK, text)


def _certificate_request() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    return request.public_bytes(Encoding.PEM).decode()
