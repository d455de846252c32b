"""The pages beside the API: what is served, how it is guarded, and that the API does not notice."""

import re
from collections.abc import Iterator

import pytest
from wire import Answer, Place, call, exchange

from installations import make_installation, serving
from kubecustody.catalogue.errors import INTERNAL_ERROR, all_request_errors
from kubecustody.catalogue.operations import OPERATIONS
from kubecustody.pages.serving import ROOTS, SITE, STATIC


def get(place: Place, path: str, *lines: str, method: str = "GET") -> Answer:
    head = [f"{method} {path} HTTP/1.1", "host: example", *lines, "", ""]
    return exchange(place.server, "\r\n".join(head).encode(), method)


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    installation = make_installation(tmp_path_factory.mktemp("prefixed"))
    with serving(installation, pages_prefix="/custody/") as server:
        yield Place(installation, server)


def test_no_page_stands_where_an_operation_could() -> None:
    assert not {root.split("/")[1] for root in ROOTS} & {operation.path.split("/")[1] for operation in OPERATIONS}


@pytest.mark.parametrize("path", sorted(f"/{path.relative_to(SITE).as_posix()}" for path in SITE.rglob("*.html")))
def test_every_page_is_served_with_its_marks_filled(place: Place, path: str) -> None:
    if path in ("/navigation.html", "/not-found.html"):
        return
    answer = get(place, path.removesuffix(".html") + ("?q=states" if path == "/docs/search.html" else ""))
    assert answer.status == 200 and answer.header("content-type") == "text/html; charset=utf-8"
    assert b"%%" not in answer.body and b"<nav" in answer.body


def links_of(answer: Answer) -> set[str]:
    return set(re.findall(r'(?:href|src|action)="(/[^"#?]*)', answer.body.decode()))


@pytest.mark.parametrize("which", ["place", "prefixed"])
def test_no_link_is_dead_and_all_stand_below_the_prefix(which: str, request: pytest.FixtureRequest) -> None:
    place, prefix = request.getfixturevalue(which), "/custody" if which == "prefixed" else ""
    seen, waiting = set[str](), {f"{prefix}/docs"}
    while waiting:
        path = waiting.pop()
        seen.add(path)
        answer = get(place, path)
        assert answer.status == 200, path
        if answer.header("content-type").startswith("text/html"):
            page = answer.body.decode()
            assert len(ids := re.findall(r' id="([^"]+)"', page)) == len(set(ids)), path
            assert all(link.startswith(f"{prefix}/") for link in links_of(answer)), path
            waiting |= links_of(answer) - seen
    assert len(seen) > 20


def test_nothing_inline_is_run_and_nothing_comes_from_elsewhere(place: Place) -> None:
    policy = get(place, "/docs").header("content-security-policy")
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy and "http" not in policy
    for path in SITE.rglob("*.html"):
        text = path.read_text("utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), path
        assert not re.search(r'(?:src|<link[^>]*href)="(?!%%)', text), path
    for path in STATIC.rglob("*.css"):
        assert not re.search(r"@import|url\(", path.read_text("utf-8")), path


def test_every_answer_is_guarded(place: Place) -> None:
    for path in ("/docs", "/docs/nothing", "/static/x/pages.css", "/docs/"):
        answer = get(place, path)
        assert answer.header("x-content-type-options") == "nosniff"
        assert answer.header("referrer-policy") == "no-referrer"
        assert "frame-ancestors 'none'" in answer.header("content-security-policy")


def test_every_error_that_can_be_raised_has_its_place_in_the_error_centre(place: Place) -> None:
    """Where the Recommend of its answer leads."""
    page = get(place, "/docs/errors").body.decode()
    anchors = set(re.findall(r'<article class="error" id="([^"]+)">', page))
    assert anchors == {error.code for error in all_request_errors()} | {INTERNAL_ERROR.code}


def test_static_files_are_kept_for_good_only_under_the_hash_of_their_content(place: Place) -> None:
    (address,) = (link for link in links_of(get(place, "/docs")) if link.endswith("pages.css"))
    assert "immutable" in get(place, address).header("cache-control")
    old = re.sub(r"/static/\w+/", "/static/0000/", address)
    assert get(place, old).header("cache-control") == "no-cache"
    assert get(place, old).body == get(place, address).body


def test_page_that_the_browser_has_is_not_sent_again(place: Place) -> None:
    tag = get(place, "/docs").header("etag")
    again = get(place, "/docs", f"if-none-match: {tag}")
    assert (again.status, again.body) == (304, b"")
    assert get(place, "/docs", 'if-none-match: "other"').status == 200


def test_head_has_no_body_and_the_same_headers(place: Place) -> None:
    told, whole = get(place, "/docs", method="HEAD"), get(place, "/docs")
    assert (told.status, told.body) == (200, b"")
    assert told.header("content-length") == str(len(whole.body))


def test_other_methods_are_refused(place: Place) -> None:
    answer = get(place, "/docs", "content-length: 0", method="POST")
    assert (answer.status, answer.code, answer.header("allow")) == (400, "UnsupportedHTTPMethod", "GET, HEAD")


@pytest.mark.parametrize("path", ["/docs/", "/DOCS/how-to/RUN", "/docs/how-to/run/"])
def test_page_is_found_in_any_case_and_with_a_last_slash(prefixed: Place, path: str) -> None:
    answer = get(prefixed, "/custody" + (path if path.startswith("/docs") else path.lower().replace("run", "RUN")))
    assert answer.status == 308
    assert get(prefixed, answer.header("location")).status == 200


HOSTILE = [
    "/docs/../../etc/passwd",
    "/docs/%2e%2e/%2e%2e/settings",
    "/static/x/../../serving.py",
    "/docs/%00",
    "/docs/a%0d%0aX:1",
]


@pytest.mark.parametrize(
    "path", [*HOSTILE, "/docs/%3Cscript%3Ealert(1)%3C/script%3E", "/docs/é".encode().decode("latin-1")]
)
def test_page_that_there_is_not_says_so_and_searches(place: Place, path: str) -> None:
    answer = get(place, path.encode("ascii", "ignore").decode())
    assert answer.status in (200, 404, 308)
    assert b"passwd" not in answer.body and b"<script>alert" not in answer.body
    if answer.status == 404:
        assert b'role="search"' in answer.body


def entries(answer: Answer) -> list[str]:
    return re.findall(r'<li><a href="([^"]+)">', answer.body.decode().partition('id="main"')[2].partition("</main>")[0])


def test_search_finds_pages_and_codes_without_a_script(place: Place) -> None:
    assert entries(get(place, "/docs/search?q=ListUserKubeConfigStates"))[0] == "/docs/api/ListUserKubeConfigStates"
    assert "/docs/errors#InvalidApi.NotFound" in entries(get(place, "/docs/search?q=no+operation+path&in=errors"))
    assert entries(get(place, "/docs/search?q=xyzzy")) == []
    assert entries(get(place, "/docs/search")) == []


def test_search_among_errors_answers_codes_alone(place: Place) -> None:
    found = entries(get(place, "/docs/search?in=errors&q=signature"))
    assert len(found) > 3 and all(link.startswith("/docs/errors#") for link in found)


def test_search_for_a_request_id_says_how_to_ask(prefixed: Place) -> None:
    answer = get(prefixed, "/custody/docs/search?q=e78a2e2d-6e2d-4f0e-9a63-94db1f8a5f11")
    link = "/custody/explorer#operation=DescribeRequestError&amp;RequestId=E78A2E2D-6E2D-4F0E-9A63-94DB1F8A5F11"
    assert link.encode() in answer.body


@pytest.mark.parametrize(
    "query",
    [
        "q=%3Cscript%3Ealert(1)%3C/script%3E",
        "q=%22%20autofocus%20onfocus=alert(1)%20x=%22",
        "q=%27%3E%3Cimg+src=x+onerror=alert(1)%3E",
        "q=%ff%fe%00%0d%0aX-Evil:1",
        "q=%%25PREFIX%%25&q=%25%25RESULTS%25%25",
        "q=" + "a" * 5000,
        "&".join(f"a{number}=1" for number in range(19)) + "&q=\u751f".encode().decode("latin-1"),
        "&".join("q=x" for _ in range(500)),
        "q=" + "(" * 300,
    ],
)
def test_hostile_words_are_shown_as_words(place: Place, query: str) -> None:
    answer = get(place, "/docs/search?" + "".join(letter if letter.isascii() else "%C3" for letter in query))
    assert answer.status == 200 and len(answer.body) < 30_000
    for bad in (b"<script>alert", b"<img", b' onfocus=alert(1) x="', b"x-evil: "):
        assert bad not in answer.body
    assert answer.body.count(b"<h1>") == 1


def test_pages_under_a_prefix_leave_the_root_to_the_api(prefixed: Place) -> None:
    assert get(prefixed, "/docs").code == "InvalidApi.NotFound"
    answer = call(prefixed.server, prefixed.installation.key, "/nothing")
    assert answer.json["Recommend"].startswith(prefixed.server.url + "/custody/docs/errors#")


def test_without_pages_an_error_says_itself_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    installation = make_installation(tmp_path_factory.mktemp("none"))
    with serving(installation, pages="off") as server:
        answer = get(Place(installation, server), "/docs")
    assert answer.code == "InvalidApi.NotFound"
    assert answer.json["Recommend"].startswith("Compare the path")


@pytest.mark.parametrize("prefix", ["/users", "/clusters/x", "/k8s"])
def test_prefix_that_would_hide_an_operation_is_refused(tmp_path_factory: pytest.TempPathFactory, prefix: str) -> None:
    installation = make_installation(tmp_path_factory.mktemp("hidden"))
    told = installation.command("serve", "--set", f"pages_prefix={prefix}", check=False)
    assert told.returncode == 2 and "pages_prefix" in told.stderr


@pytest.mark.parametrize("prefix", ["custody", "/a b", "/%2e", "/<"])
def test_prefix_that_is_no_path_is_refused(tmp_path_factory: pytest.TempPathFactory, prefix: str) -> None:
    installation = make_installation(tmp_path_factory.mktemp("odd"))
    told = installation.command("serve", "--set", f"pages_prefix={prefix}", check=False)
    assert told.returncode == 2 and "pages_prefix" in told.stderr
