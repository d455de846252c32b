"""An optimised CPython with what the server needs, made once in the user's cache.

A machine's own may be built without optimisations, which costs half as much again; cfssl is built with all of its
compiler's.
"""

import gzip
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

_MODULE = "github.com/kluctl/go-embed-python"
_VERSION = "3.14.6"  # go.mod names it too
_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_MACHINES = {"x86_64": "linux-amd64", "aarch64": "linux-arm64"}


def optimised_python() -> Path:
    """The interpreter of an environment with what `locks/demo.txt` pins. The package itself is not in it."""
    lock = _ROOT / "locks" / "demo.txt"
    name = f"cpython-{_VERSION}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    environment = _cache() / name
    if not environment.exists():
        print(f"making an environment of CPython {_VERSION}", flush=True)
        new = environment.with_name(f"{name}.{uuid.uuid4().hex}")
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "venv", "--quiet", "--relocatable", "--python", str(_unpacked()), str(new)], check=True)
        install = [uv, "pip", "install", "--quiet", "--system-certs", "--require-hashes", "-r", str(lock)]
        subprocess.run([*install, "--python", str(new / "bin" / "python")], check=True)
        new.rename(environment)
    return environment / "bin" / "python"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kubecustody" / "bench"


def _unpacked() -> Path:
    """The interpreter, unpacked from the module that go.sum pins."""
    folder = _cache() / f"cpython-{_VERSION}"
    if not folder.exists():
        source = _downloaded() / "python" / "internal" / "data" / _MACHINES[platform.machine()]
        new = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}")
        for file in json.loads((source / "files.json").read_text())["files"]:
            _unpack(source, new, file["name"], file.get("symlink", ""))
        new.rename(folder)
    return folder / "bin" / "python3"


def _downloaded() -> Path:
    """The module's folder. Go checks what it fetches against go.sum."""
    command = [str(_ROOT / "scripts" / "go"), "mod", "download", "-json", _MODULE]
    told = subprocess.run(command, cwd=_HERE, check=True, stdout=subprocess.PIPE).stdout
    return Path(json.loads(told)["Dir"])


def _unpack(source: Path, new: Path, name: str, link: str) -> None:
    target, plain, packed = new / name, source / name, source / f"{name}.gz"
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        target.symlink_to(link)
    elif packed.exists():
        with gzip.open(packed) as content, target.open("wb") as out:
            shutil.copyfileobj(content, out)
    elif plain.is_file():
        shutil.copyfile(plain, target)
    else:
        target.mkdir(exist_ok=True)
        return
    if not link and target.parent.name == "bin":
        target.chmod(0o755)
