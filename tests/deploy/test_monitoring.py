"""Alert rules, dashboard and served metrics, judged by Prometheus' own programs (Debian's package prometheus)."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import yaml

from installations import Installation, free_port, make_installation, serving, wait_for_port
from kubecustody.catalogue.errors import ERRORS
from kubecustody.server.store_metrics import WATCHED_EVENTS

pytestmark = pytest.mark.deploy

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "kubecustody.rules.yml"
DASHBOARD = DEPLOY / "grafana" / "kubecustody.json"


def program(name: str) -> str:
    """The path of a program. Without it: a loud skip, and in CI a failure."""
    found = shutil.which(name)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"NO {name}: it is in Debian's package prometheus")
    if found is None:
        pytest.skip(f"NO {name}: it is in Debian's package prometheus")
    return found


def promtool(*words: str | Path, text: str | None = None) -> str:
    done = subprocess.run(
        [program("promtool"), *words], input=text, capture_output=True, text=True, cwd=RULES.parent, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def expressions() -> list[str]:
    """Every expression of the rules and of the dashboard, as Prometheus is asked it."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = [rule["expr"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    found += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    found += [one["expr"] for one in dashboard["annotations"]["list"]]
    return [one.replace("$job", "kubecustody").replace("$__rate_interval", "1m") for one in found]


def read(url: str) -> str:
    with urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode()
        return text


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has the rules and scrapes a server of ours; where it answers."""
    folder = tmp_path_factory.mktemp("prometheus")
    installation, metrics = make_installation(folder), free_port()
    with (
        serving(installation, tls="on", metrics_listen=f"127.0.0.1:{metrics}") as server,
        running_prometheus(folder, metrics) as url,
    ):
        make_calls(installation, server.url)
        yield url


def make_calls(installation: Installation, url: str) -> None:
    """A call that is denied and one whose signature does not hold, so that each metric has a sample."""
    good, guessed = (installation.settings.data_dir / name for name in ("good", "guessed"))
    installation.command("admin", "users", "add", "anna", "--profile", str(good))
    guessed.write_text(re.sub("secret = .*", "secret = guessed", good.read_text()))
    for file in (good, guessed):
        words = ("call", "DescribeClustersV1", "--endpoint", url, "--key-file", str(file))
        assert (
            installation.command(*words, "--ca", str(installation.settings.tls_root_file), check=False).returncode == 1
        )


@contextmanager
def running_prometheus(folder: Path, metrics: int) -> Iterator[str]:
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [{"job_name": "kubecustody", "static_configs": [{"targets": [f"127.0.0.1:{metrics}"]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    words = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    log = folder / "prometheus.log"
    with (
        log.open("wb") as stream,
        subprocess.Popen([program("prometheus"), *words], stdout=stream, stderr=stream) as it,
    ):
        try:
            wait_for_port(port, it, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            it.terminate()
            it.wait(20)


def ask(url: str, path: str, **query: str) -> Any:
    answer = json.loads(read(f"{url}/api/v1/{path}?{urlencode(query)}"))
    assert answer["status"] == "success", answer
    return answer["data"]


def await_sample(url: str, expression: str) -> None:
    deadline = time.monotonic() + 30
    while not ask(url, "query", query=expression)["result"]:
        assert time.monotonic() < deadline, f"Prometheus never had {expression}"
        time.sleep(0.2)


def test_promtool_takes_the_rules_and_each_alert_sounds_when_it_should_and_only_then() -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    assert f"SUCCESS: {len(rules)} rules found" in promtool("check", "rules", RULES.name)
    assert "SUCCESS" in promtool("test", "rules", "kubecustody.rules.test.yml")
    tested = set(re.findall(r'alertname="(\w+)"', (RULES.parent / "kubecustody.rules.test.yml").read_text()))
    assert tested == {rule["alert"] for rule in rules}
    assert all({"summary", "action"} == set(rule["annotations"]) for rule in rules)


def test_promtool_finds_nothing_wrong_with_what_the_server_tells(prometheus: str) -> None:
    await_sample(prometheus, 'up{job="kubecustody"} == 1')  # it knows no target as soon as it listens
    target = ask(prometheus, "targets")["activeTargets"][0]["scrapeUrl"]
    assert promtool("check", "metrics", text=read(target)) == ""


def test_a_prometheus_scrapes_the_server_and_evaluates_every_rule_and_panel(prometheus: str) -> None:
    await_sample(prometheus, 'up{job="kubecustody"} == 1')
    await_sample(prometheus, 'kubecustody_denials_total{operation="DescribeClustersV1"} == 1')
    await_sample(prometheus, 'kubecustody_signature_failures_total{code="SignatureDoesNotMatch"} == 1')
    for expression in expressions():
        ask(prometheus, "query", query=expression)
    rules = ask(prometheus, "rules")["groups"][0]["rules"]
    deadline = time.monotonic() + 30
    while any(rule["health"] == "unknown" for rule in rules) and time.monotonic() < deadline:
        time.sleep(0.2)
        rules = ask(prometheus, "rules")["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert {rule["state"] for rule in rules} == {"inactive"}, "a new server gives no alarm"


def test_each_metric_that_a_rule_or_panel_names_is_one_that_the_server_tells(prometheus: str) -> None:
    await_sample(prometheus, "kubecustody_denials_total")
    told = {name for name in ask(prometheus, "label/__name__/values") if name.startswith("kubecustody_")}
    named = {name for expression in expressions() for name in re.findall(r"\bkubecustody_\w+", expression)}
    # A server without clusters has no sample of what clusters have; the reference has every metric.
    of_clusters = {name for name in named - told if re.search("_cluster_|waiting_removal|soonest_end", name)}
    reference = (DEPLOY.parent / "docs/reference/metrics.md").read_text()
    assert named - of_clusters <= told and all(f"`{name}`" in reference for name in of_clusters)
    assert len(named) > 10


def test_codes_and_kinds_that_rules_name_are_there() -> None:
    text = "\n".join(expressions())
    codes = {code for part in re.findall(r'code=~?"([^"]+)"', text) for code in part.split("|")}
    kinds = {kind for part in re.findall(r'kind=~?"([^"]+)"', text) for kind in part.split("|")}
    assert codes and codes <= {error.code for error in ERRORS}
    assert kinds and kinds <= set(WATCHED_EVENTS)


def test_the_dashboard_lays_every_panel_beside_the_others_and_says_what_it_shows() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and all(x < 24 for x, _ in cells), panel["title"]
        taken |= cells
        assert panel["description"].endswith(".")
    assert len({panel["id"] for panel in panels}) == len(panels)
