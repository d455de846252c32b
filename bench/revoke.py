"""`python -m bench.revoke`: how long it takes until a removed kubeconfig is proved to be dead, on real API servers.

A person gets a kubeconfig, is permitted something, and uses it on every API server of the cluster. Then the account
cleans it. The time ends when ListUserKubeConfigStates says Removed; at that moment the kubeconfig is used once more on
every API server, and each must refuse it by name, or the round is wrong. Beside it the server looks after more managed
clusters, one in ten of which accepts connections and never answers.

The last line is one JSON object: `seconds_to_dead`, the median, and `worst_seconds`; `rounds`, `clusters`; `wrong`, how
many rounds were not as they must be. Exit code 1 where a round was wrong, or took more than 10 seconds.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

# The control plane, and what stands before it, are the tests'.
sys.path.append(str(Path(__file__).parents[1] / "tests"))

from bench.sweep import register_and_manage, started_plane
from control_plane.control_plane import ControlPlane
from control_plane.identities import Identity
from control_plane.keeping import KUBE_SYSTEM, Keeper, keeping, name_of
from control_plane.proxy import Fault, Proxy
from kubecustody.core.states import CertState
from kubecustody.pki.issuing import make_ca

MOST_SECONDS = 10.0
LONGEST_SECONDS = 60.0
POLL_SECONDS = 0.01
SLOW_SECONDS = 600.0
EVERY_SECONDS = "30"
EACH_THAT_HANGS = 10


def main() -> None:
    """Run, print, and end with the line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clusters", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        plane = stack.enter_context(started_plane(Path(directory), servers=2))
        others = stack.enter_context(started_plane(Path(directory), "others", etcd=plane.etcd))
        proxy = stack.enter_context(Proxy(others))
        told = measure(Path(directory), plane, proxy, clusters=options.clusters, rounds=options.rounds)
    print(json.dumps(told))
    sys.exit(0 if is_well(told) else 1)


def is_well(told: dict[str, Any]) -> bool:
    """Whether every round was right, and quick enough."""
    return told["wrong"] == 0 and told["worst_seconds"] <= MOST_SECONDS


def measure(directory: Path, plane: ControlPlane, proxy: Proxy, *, clusters: int, rounds: int) -> dict[str, Any]:
    """What the last line tells; `clusters` are all that are managed, the plane's own among them."""
    with keeping(directory / "installation", plane, observe_every_seconds=EVERY_SECONDS) as keeper:
        bring_others(keeper, proxy, clusters - 1)
        keeper.register()
        keeper.manage()
        print(f"{clusters} clusters are managed", flush=True)
        taken = [remove_once(keeper, number) for number in range(rounds)]
    right = [seconds for seconds, is_right in taken if is_right]
    return {
        "rounds": rounds,
        "clusters": clusters,
        "seconds_to_dead": round(statistics.median(right), 3) if right else None,
        "worst_seconds": round(max(seconds for seconds, _ in taken), 3),
        "wrong": rounds - len(right),
    }


def bring_others(keeper: Keeper, proxy: Proxy, count: int) -> None:
    """More managed clusters, of another client CA, of which some hang from then on."""
    places = [proxy.add_cluster() for _ in range(count)]
    client_ca = make_ca("client CA of the others", int(time.time()), 1).certificate
    for place in places:
        place.client_ca = client_ca
    accesses = [proxy.plane.issue(f"keeper-{number}", groups=["system:masters"]) for number in range(count)]
    register_and_manage(keeper.endpoint, proxy.plane, places, accesses)
    for place in places[::EACH_THAT_HANGS]:
        place.fault = Fault.slow(SLOW_SECONDS)


def remove_once(keeper: Keeper, number: int) -> tuple[float, bool]:
    """How long one removal took until it was proved, and whether all was as it must be before and after."""
    uid = keeper.add_person(f"person-{number}")
    credential = keeper.get(uid)
    keeper.grant(uid, "admin")
    was_let_in = wait_until(lambda: all(statuses == 200 for statuses in answers(keeper.plane, credential)))
    begun = time.perf_counter()
    keeper.clean(uid)
    was_removed = wait_until(lambda: keeper.state(uid).cert_state == CertState.REMOVED)
    seconds = time.perf_counter() - begun
    is_refused = all(refused_by_name(keeper.plane, credential, url) for url in keeper.plane.urls)
    print(
        f"round {number + 1}: {seconds:.3f} s", "" if was_let_in and was_removed and is_refused else "WRONG", flush=True
    )
    return seconds, was_let_in and was_removed and is_refused


def answers(plane: ControlPlane, credential: Identity) -> list[int]:
    """What every API server answers."""
    return [plane.ask("GET", KUBE_SYSTEM, credential, url=url).status for url in plane.urls]


def refused_by_name(plane: ControlPlane, credential: Identity, url: str) -> bool:
    """Whether the API server knows who comes, and lets them do nothing."""
    answer = plane.ask("GET", KUBE_SYSTEM, credential, url=url)
    return answer.status == 403 and f'User "{name_of(credential)}" cannot get' in answer.document["message"]


def wait_until(is_so: Any) -> bool:
    """Whether it came to be so in time."""
    ends = time.monotonic() + LONGEST_SECONDS
    while not is_so():
        if time.monotonic() > ends:
            return False
        time.sleep(POLL_SECONDS)
    return True


if __name__ == "__main__":
    main()
