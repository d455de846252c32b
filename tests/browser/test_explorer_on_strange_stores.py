"""The explorer on stores that hold what nobody expects: hostile names, and ten thousand rows."""

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from chromium import PHONE, check_fits
from explorer_page import Explorer, OpenPage
from playwright.sync_api import Route, expect

from installations import Installation, RunningServer, make_installation, serving
from kubecustody.client import Client, Endpoint
from kubecustody.core.names import PrincipalKind
from kubecustody.custody.clusters import ClusterFields, add_cluster
from kubecustody.custody.principals import add_principal
from kubecustody.custody.signers import make_signer

pytestmark = pytest.mark.browser

ROWS = 10_000
SECONDS = 5
HOSTILE = "\"'><img src=x onerror=window.ran=1><b>&amp;\n\t{{7*7}}\u202e\u65e5\u672c\u200b" + "long" * 40
SHOWN = HOSTILE.replace("\u202e", "\u2423U+202E\u2423").replace("\u200b", "\u2423U+200B\u2423")


@dataclass
class Place:
    """A served account with one cluster that issues and one person."""

    installation: Installation
    server: RunningServer
    cluster_id: str
    uid: str


def make(folder: Path) -> tuple[Installation, str, str]:
    installation = make_installation(folder)
    fields = ClusterFields(name="first", public_endpoint="https://203.0.113.7:6443")
    cluster_id = installation.change(add_cluster, fields)
    installation.change(make_signer, "first")
    uid = installation.change(add_principal, kind=PrincipalKind.USER, name="anna", display_name=HOSTILE)
    return installation, cluster_id, uid


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ThreadPoolExecutor(1) as apart:  # Playwright has the event loop of this thread
        installation, cluster_id, uid = apart.submit(make, tmp_path).result()
    with serving(installation) as server:
        yield Place(installation, server, cluster_id, uid)


def explore(open_page: OpenPage, place: Place, link: str) -> Explorer:
    page = open_page("/docs")
    page.goto(f"{place.server.url}/explorer{link}")
    explorer = Explorer(page)
    key = place.installation.key
    explorer.sign_in({"access_key_id": key.access_key_id, "access_key_secret": key.secret})
    return explorer


def test_hostile_names_from_the_store_are_shown_as_texts(open_page: OpenPage, place: Place) -> None:
    cluster_id, uid = place.cluster_id, place.uid
    with contextlib.closing(sqlite3.connect(place.installation.settings.store_file)) as store, store:
        store.execute("UPDATE clusters SET name = ?", (HOSTILE,))  # as no cluster may be called
    key = place.installation.key
    with Client(Endpoint(place.server.url, key.access_key_id, key.secret)) as client:
        client.describe_subaccount_k8s_cluster_user_config(cluster_id, uid)
    link = f"#operation=ListClusterKubeconfigStates&ClusterId={cluster_id}"
    explorer = explore(open_page, place, link)
    page = explorer.page
    expect(explorer.call()).to_have_text("200")
    shown = explorer.answer.locator("td").filter(has_text="onerror")
    expect(shown.first).to_have_text(SHOWN)
    page.get_by_label("JSON").check()
    expect(explorer.answer).to_contain_text("onerror")
    explorer.choose("ListUserKubeConfigStates")
    explorer.fill(Uid=uid)
    explorer.call()
    page.get_by_role("button", name="why?").click()
    expect(explorer.dialog.locator("h2")).to_contain_text("onerror")
    page.set_viewport_size(PHONE)
    check_fits(page)
    page.keyboard.press("Escape")
    check_fits(page)
    page.click("#look-up")
    expect(page.locator("#notice")).to_contain_text("Found 1 clusters")
    assert page.locator("#known-people option").first.get_attribute("label") == f"{SHOWN} ({uid})"
    explorer.choose("CleanClusterUserPermissions")
    explorer.fill(ClusterId=cluster_id, Uid=uid)
    page.click("#run")
    expect(explorer.dialog.locator("li")).to_contain_text("onerror")
    assert not re.search("[\u202e\u200b]", explorer.dialog.inner_text())
    check_fits(page)
    assert page.evaluate("[window.ran, document.querySelectorAll('main img').length]") == [None, 0]


def test_ten_thousand_rows_stay_usable(open_page: OpenPage, place: Place) -> None:
    """More than this server ever answers at once, so the answer's rows are multiplied on the way."""

    def multiply(route: Route) -> None:
        (row,) = route.fetch().json()
        route.fulfill(json=[{**row, "name": f"many-{number}"} for number in range(ROWS)])

    explorer = explore(open_page, place, "#operation=DescribeClusters")
    page = explorer.page
    page.route("**/clusters", multiply)
    expect(explorer.call()).to_have_text("200")
    started = time.monotonic()  # it came through the test, which is slow
    expect(explorer.answer).to_contain_text("1 to 100 of 10,000")
    page.get_by_role("button", name="Last").click()
    expect(explorer.answer).to_contain_text("9901 to 10000 of 10,000")
    page.get_by_label("JSON").check()
    more = explorer.answer.get_by_role("button", name="100 more of 9,900")
    more.click()
    expect(explorer.answer.get_by_role("button", name="100 more of 9,800")).to_be_visible()
    assert time.monotonic() - started < SECONDS
    assert page.evaluate("document.querySelectorAll('*').length") < ROWS
