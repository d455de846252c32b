"""A fleet of real input: certificates by openssl, kubeconfigs by kubectl, brought in by the command line."""

import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from installations import Installation, make_installation
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.policies import set_attachment
from kubecustody.custody.principals import add_access_key, add_principal
from pki.openssl import Made, Openssl

KUBECTL = Path(sys.executable).parent / "kubectl"
FLIPS_AFTER_SECONDS = 12


def generalized(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y%m%d%H%M%SZ")


@dataclass
class Fleet:
    """What the tests know of the fleet; `rows`: cluster name to the state that alice must have there."""

    installation: Installation
    uids: dict[str, str] = field(default_factory=dict)
    keys: dict[str, tuple[str, str]] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)
    certificates: dict[str, Path] = field(default_factory=dict)
    flips_at: int = 0


class Making:
    """Makes the fleet as its operator would: files, then commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.openssl = Openssl(folder)
        self.fleet = Fleet(make_installation(folder))
        self.authorities: dict[str, Made] = {}
        self.now = int(time.time())

    def admin(self, *arguments: str | Path) -> str:
        return self.fleet.installation.command("admin", *map(str, arguments)).stdout.strip()

    def add_user(self, name: str, policy: str | None = None) -> None:
        installation = self.fleet.installation
        self.fleet.uids[name] = installation.change(add_principal, kind=PrincipalKind.USER, name=name)
        if policy is not None:
            installation.change(set_attachment, policy, attached=True, user=name)
        key = installation.change(add_access_key, name)
        self.fleet.keys[name] = key.access_key_id, key.secret

    def add_cluster(self, name: str, state: str) -> None:
        self.authorities[name] = self.openssl.make_ca(f"/CN={name} client CA")
        self.admin("clusters", "add", name, "--client-ca", self.authorities[name].certificate_path)
        self.fleet.rows[name] = state

    def give(self, cluster: str, begins: int, ends: int, *, by: Made | None = None) -> Path:
        """A kubeconfig of alice's for this cluster; its certificate is valid from and to these seconds from now."""
        subject = f"/O=system:users/CN={self.fleet.uids['alice']}-{self.now + begins}"
        made = self.openssl.make(
            subject,
            by=by or self.authorities[cluster],
            start=generalized(self.now + begins),
            end=generalized(self.now + ends),
        )
        self.fleet.certificates[cluster] = made.certificate_path
        return self.write_kubeconfig(cluster, made)

    def write_kubeconfig(self, cluster: str, made: Made) -> Path:
        path = self.folder / f"{cluster}.kubeconfig"
        for words in (
            ("set-cluster", cluster, "--server=https://203.0.113.7:6443"),
            (
                "set-credentials",
                "alice",
                f"--client-certificate={made.certificate_path}",
                f"--client-key={made.key_path}",
                "--embed-certs=true",
            ),
            ("set-context", cluster, f"--cluster={cluster}", "--user=alice"),
        ):
            command = [str(KUBECTL), "config", *words, f"--kubeconfig={path}"]
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        return path

    def make(self) -> Fleet:
        self.add_user("alice", "AliyunCSReadOnlyAccess")
        self.add_user("auditor", "AliyunCSReadOnlyAccess")
        self.add_user("nobody")
        for name, state in (
            ("good", "Unexpired"),
            ("old", "Expired"),
            ("cleaned", "Removed"),
            ("stranger", "Unknown"),
            ("never", "Unissued"),
            ("renewed", "Unexpired"),
        ):
            self.add_cluster(name, state)
        day = 86400
        self.take("renewed", self.give("renewed", -400 * day, -30 * day))
        self.take("good", self.give("good", -day, 100 * day))
        self.take("old", self.give("old", -400 * day, -day))
        self.take("cleaned", self.give("cleaned", -day, 50 * day))
        foreign = self.openssl.make_ca("/CN=stranger client CA")
        self.take("stranger", self.give("stranger", -day, 70 * day, by=foreign), "--holder", "alice")
        self.take("renewed", self.give("renewed", -30 * day, 335 * day))
        reason = "bindings deleted by hand"
        self.admin("removals", "attest", "--cluster", "cleaned", "--user", "alice", "--reason", reason)
        return self.fleet

    def take(self, cluster: str, kubeconfig: Path, *more: str) -> None:
        self.admin("credentials", "import", kubeconfig, "--cluster", cluster, *more)

    def give_one_that_ends_soon(self) -> None:
        self.add_cluster("flipping", "Expired")
        self.now = int(time.time())
        self.fleet.flips_at = self.now + FLIPS_AFTER_SECONDS
        self.take("flipping", self.give("flipping", -3600, FLIPS_AFTER_SECONDS))
