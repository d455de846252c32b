"""cfssl serve (github.com/cloudflare/cfssl) with a P-256 CA of its own, built from source into the user's cache."""

import json
import os
import subprocess
import time
import uuid
from pathlib import Path

from bench.servers import HOST, Server, free_port, start
from kubecustody.pki.issuing import make_ca

VERSION = "1.6.5"  # go.mod names it too
_HERE = Path(__file__).parent
_GO = _HERE.parents[1] / "scripts" / "go"
# What our certificates are good for, and for how long.
_CONFIG = {
    "signing": {"default": {"usages": ["digital signature", "client auth"], "expiry": "2160h", "backdate": "5m"}}
}


def start_cfssl(directory: Path) -> tuple[Server, bytes]:
    """A server that keeps no record of what it issues, and the certificate of its CA (PEM).

    Its files lie in `directory`.
    """
    program, port = build_cfssl(), free_port()
    ca = make_ca("rival", int(time.time()) - 60, 3650)
    files = {"ca.pem": ca.certificate, "ca-key.pem": ca.private_key, "config.json": json.dumps(_CONFIG).encode()}
    for name, content in files.items():
        (directory / name).write_bytes(content)
    command = [str(program), "serve", "-address", HOST, "-port", str(port)]
    for option, name in (("-ca", "ca.pem"), ("-ca-key", "ca-key.pem"), ("-config", "config.json")):
        command += [option, str(directory / name)]
    return start("cfssl", command, port=port, log=directory / "cfssl.out"), ca.certificate


def build_cfssl() -> Path:
    """The program, built once: some minutes."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "kubecustody" / "bench" / f"cfssl-{VERSION}" / "cfssl"
    if not program.exists():
        print(f"building cfssl {VERSION}", flush=True)
        program.parent.mkdir(parents=True, exist_ok=True)
        new = program.with_name(f"{program.name}.{uuid.uuid4().hex}")
        go = str(_GO) if _GO.exists() else "go"
        build = [go, "build", "-mod=readonly", "-o", str(new), "github.com/cloudflare/cfssl/cmd/cfssl"]
        # Without C: its SQLite is not used here.
        subprocess.run(build, cwd=_HERE, env={**os.environ, "CGO_ENABLED": "0"}, check=True)
        new.replace(program)
    return program


def new_certificate_request(server: Server, common_name: str) -> bytes:
    """The raw request of a P-256 key and its certificate for this name."""
    request = {
        "CN": common_name,
        # As cfssl's own examples have it: with none at all each answer holds a warning and is sent in chunks.
        "hosts": [""],
        "key": {"algo": "ecdsa", "size": 256},
        "names": [{"O": "system:users"}],
    }
    body = json.dumps({"request": request})
    lines = (
        "POST /api/v1/cfssl/newcert HTTP/1.1",
        f"Host: {server.host}:{server.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "",
        body,
    )
    return "\r\n".join(lines).encode("ascii")
