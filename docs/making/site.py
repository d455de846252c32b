"""The pages of the site, as HTML: from templates, and from the Markdown that the repository holds."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

DOCS = Path(__file__).parent.parent
# The folders of docs/ in the order of the navigation. What stands in none of them is explanation.
PARTS = {
    "tutorial": "Tutorial",
    "how-to": "How to",
    "reference": "Reference",
    "explanation": "Explanation",
    "decisions": "Decisions",
}
_OURS = "\ue000"  # stands for %%PREFIX%% until what the text itself says of it is escaped
# Reference pages that have an HTML of their own are shown nearer to the root than their Markdown stands.
_ELSEWHERE = re.compile(r"^docs/reference/(?=(?:api|errors)(?:/|$))")
# Who made a page, and what the tests are told of the next block: nothing of it is for readers.
_COMMENT = re.compile(r"^<!--.*?-->\n+", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """One page: `name` is its path without the first slash, `part` a key of PARTS."""

    name: str
    title: str
    part: str
    text: str


@dataclass(frozen=True, slots=True)
class Part:
    """Pages that stand together in the navigation."""

    title: str
    pages: tuple[Page, ...]


class Site:
    """Makes the HTML. `texts` are the Markdown files of docs/, by path from there."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.pages = [_page(path, text) for path, text in sorted(texts.items())]
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters["markdown"] = lambda text: Markup(render_markdown(text, ""))  # noqa: S704 - our texts
        self._environment.filters["inline"] = lambda text: Markup(render_inline(text))  # noqa: S704 - our texts

    def render(self, template: str, name: str, title: str, section: str = "docs", **values: Any) -> str:
        """One page from a template. `name` is its path without the first slash."""
        return self._environment.get_template(template).render(name=name, title=title, section=section, **values)

    def files(self) -> Iterator[tuple[str, str]]:
        """Every page that is made from Markdown, and those that belong to no subject: file name and HTML."""
        for page in self.pages:
            if page.name.startswith("docs/api") or page.name == "docs/errors":
                continue  # these have templates of their own
            body = Markup(render_markdown(page.text, page.name))  # noqa: S704 - our texts
            yield f"{page.name}.html", self.render("page.html", page.name, page.title, body=body)
        navigation = self._environment.get_template("navigation.html").render(parts=_navigation(self.pages))
        yield "navigation.html", navigation
        yield "docs/search.html", self.render("search.html", "docs/search", "Search")
        yield "not-found.html", self.render("not-found.html", "", "There is no such page")


def _page(path: str, text: str) -> Page:
    text = _COMMENT.sub("", text)
    title = re.match(r"# (?:\d+\. )?(.+)", text)
    if title is None:
        raise ValueError(f"docs/{path} does not begin with a heading")
    folder = path.split("/")[0] if "/" in path else "explanation"
    return Page(page_name(path), title[1].replace("`", ""), folder, text)


def page_name(path: str) -> str:
    """The page of a Markdown file of docs/: how-to/run.md is docs/how-to/run, README.md stands for its folder."""
    name = f"docs/{path.removesuffix('.md')}".removesuffix("/README")
    return _ELSEWHERE.sub("docs/", name)


def plain_text(markdown: str) -> str:
    """What a Markdown text says, without its marks, on one line."""
    return " ".join(re.sub(r"<[^>]+>|[`*#|]|\]\([^)]*\)|\[|-{3,}|&nbsp;", " ", markdown).split())


def _navigation(pages: list[Page]) -> list[Part]:
    parts = []
    for folder, title in PARTS.items():
        inside = tuple(page for page in pages if page.part == folder and _is_listed(page))
        if inside:
            parts.append(Part(title, inside))
    return parts


def _is_listed(page: Page) -> bool:
    return (
        page.name != "docs"
        and not page.name.startswith("docs/api/")
        and (page.part != "decisions" or page.name == "docs/decisions")
    )


def render_markdown(text: str, name: str) -> str:
    """HTML of a Markdown text. Its links to other Markdown files become links to their pages."""
    markdown = _markdown()
    tokens = markdown.parse(text)
    _name_headings(tokens)
    _demote_empty_headers(tokens)
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("href", _target(str(child.attrGet("href")), name))
    html = str(markdown.renderer.render(tokens, markdown.options, {}))
    return html.replace("%%", "&#37;%").replace(_OURS, "%%PREFIX%%")


def render_inline(text: str) -> str:
    """HTML of one line of Markdown."""
    return str(_markdown().renderInline(text))


def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    # What may be wider than the window can be scrolled by keyboard.
    markdown.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>\n')
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    markdown.add_render_rule("fence", _fence)
    return markdown


def _fence(_: Any, tokens: list[Token], index: int, *__: Any) -> str:
    content = tokens[index].content
    return f'<pre tabindex="0"><code>{Markup.escape(content)}</code></pre>\n'


def _name_headings(tokens: list[Token]) -> None:
    """Give each heading an id, made as in the repository's own view of Markdown, and a link to itself."""
    seen: dict[str, int] = {}
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and content.content:
            slug = heading_id(content.content)
            number = seen[slug] = seen.get(slug, -1) + 1
            token.attrSet("id", f"{slug}-{number}" if number else slug)


def _demote_empty_headers(tokens: list[Token]) -> None:
    """A header without words, as above the first column of a comparison, is a cell like any other."""
    for opening, content, closing in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if opening.type == "th_open" and not content.content:
            opening.tag = closing.tag = "td"


def heading_id(title: str) -> str:
    """The fragment by which a heading is reached."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def _target(href: str, name: str) -> str:
    if re.match(r"[a-z]+:|#", href):
        return href
    path, _, fragment = href.partition("#")
    base = PurePosixPath(name) if name in ("docs", "docs/decisions") else PurePosixPath(name).parent
    parts: list[str] = []
    for part in (base / path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    page = "/".join(parts).removeprefix("docs/")
    target = page_name(page) if page.endswith(".md") else f"docs/{page}"
    return f"{_OURS}/{target.rstrip('/')}" + (f"#{fragment}" if fragment else "")
