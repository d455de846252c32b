"""`python -m bench.hot_call`: ListUserKubeConfigStates, ours against the usual way and a constant answer.

One page of 50 of an account with 1,000 clusters, a user with 300 credentials. The figure is requests per
second of CPU time of the server process. The servers share one CPU, the load has another; the alternatives
take turns, and before any figure counts each must answer rightly. The last line is one JSON object:
ratio_usual is ours / usual, ratio_constant is ours / constant, each the median over the rounds.

What a change costs: `--alternatives ours bare --rounds 40 --scale 0.05` sets ours against ours without pages and
explorer (`pages = off`), `--before CHECKOUT` against another state of the program. Many short rounds: the machine's
own speed changes within seconds.
"""

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench import rival_constant
from bench.fleet import Fleet, fleet
from bench.load import Answer, AnswerWrong, Call, Measured, ask, build_requests, measure
from bench.rival_usual.start import start_usual
from bench.servers import LOAD_CPU, SERVER_CPU, Server, free_port, start, uvicorn_command

# For about the same time each.
REQUESTS = {"ours": 16_000, "usual": 1_000, "constant": 80_000}
# Ours otherwise: without pages, and as it was in another checkout.
OTHERWISE = {"bare": 16_000, "before": 16_000}
WARM_UP = 200


def main() -> None:
    """Run, print, and end with the line of JSON."""
    options = _read_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are stopped
    if not {SERVER_CPU, LOAD_CPU} <= os.sched_getaffinity(0):
        sys.exit(f"CPUs {SERVER_CPU} and {LOAD_CPU} are needed: one for the server, one for the load")
    data = fleet(options.clusters, options.credentials)
    call = call_of(data, options.page, options.page_size)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as running:
        servers = [
            running.enter_context(start_alternative(name, data, Path(directory), options.before))
            for name in options.alternatives
        ]
        os.sched_setaffinity(0, {LOAD_CPU})
        bodies = check_all(servers, call)
        rounds = [
            run_round(number, servers, call, bodies, options.connections, options.scale)
            for number in range(options.rounds)
        ]
    print_table(rounds)
    print(json.dumps(summary(rounds)))


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--clusters", type=int, default=1_000)
    parser.add_argument("--credentials", type=int, default=300)
    parser.add_argument("--page", type=int, default=10)
    parser.add_argument("--page-size", type=int, default=50)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of requests a round")
    parser.add_argument("--alternatives", nargs="+", choices=[*REQUESTS, "bare"], default=list(REQUESTS))
    parser.add_argument("--before", type=Path, metavar="CHECKOUT", help="another state of the program, as `before`")
    options = parser.parse_args()
    options.alternatives += ["before"] if options.before else []
    return options


def call_of(data: Fleet, page: int, page_size: int) -> Call:
    """The user asks for a page of its own states."""
    return Call(
        path=f"/users/{data.user_uid}/kubeconfig/states",
        query=(("page_number", str(page)), ("page_size", str(page_size))),
        action="ListUserKubeConfigStates",
        version="2015-12-15",
        access_key_id=data.access_key_id,
        secret=data.access_key_secret,
    )


def start_alternative(name: str, data: Fleet, directory: Path, before: Path | None) -> Server:
    """The server of one alternative, loaded with the fleet."""
    _say(f"starting {name}")
    if name in ("ours", *OTHERWISE):
        from bench.ours import start_ours  # only here: the others run without our server

        pages = "off" if name == "bare" else "on"
        source = before / "src" if before and name == "before" else None
        return start_ours(data, directory / name, name, pages=pages, source=source)
    if name == "usual":
        return start_usual(data, directory)
    port = free_port()
    command = uvicorn_command("bench.rival_constant:app", port)
    return start("constant", command, port=port, log=directory / "constant.out")


# ---- is it right


def check_all(servers: Sequence[Server], call: Call) -> dict[str, bytes]:
    """The right body of each alternative. Raises AnswerWrong where one answers wrongly, or two differently."""
    bodies = {
        server.name: rival_constant.BODY if server.name == "constant" else check(server, call) for server in servers
    }
    pages = {name: json.loads(body) for name, body in bodies.items() if name != "constant"}
    for name, page in pages.items():
        if page != next(iter(pages.values())):
            raise AnswerWrong(f"{name} answers another page than {next(iter(pages))}")
    return bodies


def check(server: Server, call: Call) -> bytes:
    """The body of the valid request, after proof that a replayed and a tampered one are refused."""
    first, second = build_requests(2, call, server)
    valid = _expect(server, "valid", first, 200)
    if _expect(server, "valid again", second, 200).body != valid.body:
        raise AnswerWrong(f"{server.name} answers two equal calls differently")
    size = len(json.loads(valid.body)["states"])
    if size != int(dict(call.query)["page_size"]):
        raise AnswerWrong(f"{server.name} answers a page of {size}")
    _expect(server, "replayed", first, 400, "SignatureNonceUsed")
    (other,) = build_requests(1, call, server)
    tampered = other.replace(b"page_number=", b"page_number=1", 1)
    _expect(server, "tampered", tampered, 400, "SignatureDoesNotMatch")
    _expect(server, "the same untampered", other, 200)
    _say(f"{server.name} is right: valid 200 ({len(valid.body)} bytes), replayed and tampered refused")
    return valid.body


def _expect(server: Server, what: str, request: bytes, status: int, code: str | None = None) -> Answer:
    answer = ask(server, request)
    if answer.status != status or (code is not None and json.loads(answer.body)["Code"] != code):
        raise AnswerWrong(f"{server.name}, {what}: {answer.status} {answer.body[:300]!r}")
    return answer


# ---- how fast is it


def run_round(
    number: int,
    servers: Sequence[Server],
    call: Call,
    bodies: dict[str, bytes],
    connections: int,
    scale: float,
) -> dict[str, Measured]:
    """Each alternative once; another one begins in each round."""
    first = number % len(servers)
    measured = {}
    for server in (*servers[first:], *servers[:first]):
        count = max(100, int({**REQUESTS, **OTHERWISE}[server.name] * scale))
        requests = build_requests(WARM_UP + count, call, server)
        measure(server, requests[:WARM_UP], connections, bodies[server.name])
        measured[server.name] = measure(server, requests[WARM_UP:], connections, bodies[server.name])
        _say(f"round {number + 1}, {server.name}: {measured[server.name].per_cpu_second:,.0f} per CPU-second")
    return measured


def print_table(rounds: Sequence[dict[str, Measured]]) -> None:
    """Medians over the rounds, with the lowest and highest of the main figure."""
    print(f"{'':10}{'per CPU-second':>16}{'lowest..highest':>20}{'CPU us':>10}{'per second':>12}{'p50/p99 us':>16}")
    for name in (*REQUESTS, *OTHERWISE):
        runs = [each[name] for each in rounds if name in each]
        if runs:
            figures = _figures(runs)
            spread = "..".join(f"{value:,.0f}" for value in figures["spread"])
            print(
                f"{name:10}{figures['per_cpu_second']:>16,.0f}{spread:>20}{figures['cpu_us']:>10,.1f}"
                f"{figures['per_second']:>12,.0f}{figures['p50_us']:>9,.0f}/{figures['p99_us']:,.0f}"
            )


def summary(rounds: Sequence[dict[str, Measured]]) -> dict[str, Any]:
    """What the last line tells."""
    names = [name for name in (*REQUESTS, *OTHERWISE) if name in rounds[0]]
    figures = {name: _figures([each[name] for each in rounds]) for name in names}
    return {
        **_ratio("ratio_usual", rounds, "ours", "usual"),
        **_ratio("ratio_constant", rounds, "ours", "constant"),
        **_ratio("ratio_bare", rounds, "ours", "bare"),
        **_ratio("ratio_before", rounds, "ours", "before"),
        "rounds": len(rounds),
        "requests_per_cpu_second": figures,
    }


def _ratio(key: str, rounds: Sequence[dict[str, Measured]], name: str, other: str) -> dict[str, Any]:
    """Median and spread of name / other, both taken from one round; null where one of them did not run."""
    if not {name, other} <= rounds[0].keys():
        return {key: None}
    ratios = [each[name].per_cpu_second / each[other].per_cpu_second for each in rounds]
    return {
        key: round(statistics.median(ratios), 3),
        f"{key}_spread": [round(min(ratios), 3), round(max(ratios), 3)],
    }


def _figures(runs: Sequence[Measured]) -> dict[str, Any]:
    rates = [run.per_cpu_second for run in runs]
    return {
        "per_cpu_second": round(statistics.median(rates), 1),
        "spread": [round(min(rates), 1), round(max(rates), 1)],
        "cpu_us": round(1e6 / statistics.median(rates), 1),
        "per_second": round(statistics.median(run.requests / run.seconds for run in runs), 1),
        "p50_us": round(statistics.median(run.p50_us for run in runs)),
        "p99_us": round(statistics.median(run.p99_us for run in runs)),
    }


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
