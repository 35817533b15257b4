"""A page of the server as a page that needs none."""

from collections.abc import Sequence
from html import escape
from html.parser import HTMLParser
from typing import Protocol

NEEDS_SERVER = "data-needs-server"
"""Marks in templates what an export leaves out."""
RENEWAL = "data-renew-seconds"
CURVES = "data-curves"
VOID = frozenset({"br", "hr", "img", "input", "link", "meta", "source", "wbr"})
"""Elements of the pages that have no end."""
FILES_OF_PAGES = frozenset({"alternate", "icon", "stylesheet"})
"""Relations of `<link>` that an export has a file for."""
LINKED_DATA = "application/ld+json"

Attributes = dict[str, str | None]


class Links(Protocol):
    """Where the addresses that stand in a page lead in the export."""

    def page(self, url: str) -> str | None:
        """What a link to a page or file becomes; none if the export lacks it."""
        ...

    def file(self, url: str) -> str | None:
        """What the address of a file becomes; none if the export lacks it."""
        ...

    def picture(self, url: str) -> str | None:
        """The same for an absolute address that starts with the server's public one."""
        ...

    def own(self) -> str | None:
        """Where the page itself will stand; none if nobody said."""
        ...

    def data(self, url: str) -> str | None:
        """The text at an address; none if there is none."""
        ...


class PageRewriter(HTMLParser):
    """Copies a page as it reads it, but for what needs a server.

    Forms, structured data about addresses of the server, and elements that are marked are left
    out; links lead to files of the export, or become plain text; curves stand in the page.
    """

    def __init__(self, links: Links, origin_note: str) -> None:
        super().__init__(convert_charrefs=False)
        self._links = links
        self._origin_note = origin_note
        self._parts: list[str] = []
        self._left_out = ""
        self._depth = 0
        self._is_unlinked = False
        self._has_picture = True

    def rewrite(self, html: str) -> str:
        """The page for the export."""
        self.feed(html)
        self.close()
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Copy, change or leave out what begins here."""
        if self._left_out:
            self._depth += tag == self._left_out
            return
        attributes = dict(attrs)
        if not self._is_kept(tag, attributes):
            if tag not in VOID:
                self._left_out, self._depth = tag, 1
            return
        if tag == "a":
            self._start_link(attributes)
        elif tag in ("link", "script", "img"):
            self._point(tag, attributes)
        elif tag == "meta":
            self._describe(attributes)
        elif RENEWAL in attributes:
            del attributes[RENEWAL]
            self._start(tag, attributes)
        elif CURVES in attributes:
            self._embed(tag, attributes)
        else:
            self._copy(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Copy an element without content, such as a line of a chart."""
        self._copy(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        """Copy the end of what was copied."""
        if self._left_out:
            self._depth -= tag == self._left_out
            if not self._depth:
                self._left_out = ""
            return
        if tag == "a" and self._is_unlinked:
            self._is_unlinked = False
            tag = "span"
        if tag == "footer":
            self._copy(f"  <span>{escape(self._origin_note)}</span>\n  ")
        self._copy(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        """Copy text."""
        self._copy(data)

    def handle_entityref(self, name: str) -> None:
        """Copy a named character."""
        self._copy(f"&{name};")

    def handle_charref(self, name: str) -> None:
        """Copy a numbered character."""
        self._copy(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        """Leave comments out."""

    def handle_decl(self, decl: str) -> None:
        """Copy the document's type."""
        self._copy(f"<!{decl}>")

    def _copy(self, text: str) -> None:
        if not self._left_out:
            self._parts.append(text)

    def _start(self, tag: str, attributes: Attributes) -> None:
        written = (
            f" {name}" if value is None else f' {name}="{escape(value)}"'
            for name, value in attributes.items()
        )
        self._copy(f"<{tag}{''.join(written)}>")

    def _is_kept(self, tag: str, attributes: Attributes) -> bool:
        is_linked_data = tag == "script" and attributes.get("type") == LINKED_DATA
        return tag != "form" and NEEDS_SERVER not in attributes and not is_linked_data

    def _start_link(self, attributes: Attributes) -> None:
        url = attributes.pop("href", None)
        href = None if url is None else self._links.page(url)
        if url is not None and href is None:
            self._is_unlinked = True
            looks = {name: text for name, text in attributes.items() if name in ("class", "title")}
            self._start("span", looks)
        else:
            self._start("a", attributes if href is None else {"href": href, **attributes})

    def _point(self, tag: str, attributes: Attributes) -> None:
        name = "href" if tag == "link" else "src"
        url = attributes.get(name)
        if url is None:
            self._copy(self.get_starttag_text() or "")
            return
        is_file = tag != "link" or attributes.get("rel") in FILES_OF_PAGES
        found = self._links.file(url) if is_file else None
        if found is not None:
            self._start(tag, {**attributes, name: found})
        elif tag not in VOID:
            self._left_out, self._depth = tag, 1

    def _describe(self, attributes: Attributes) -> None:
        what = attributes.get("property") or ""
        if what == "og:image":
            found = self._links.picture(attributes.get("content") or "")
            self._has_picture = found is not None
            attributes["content"] = found
        if what == "og:url":
            attributes["content"] = self._links.own()
        if attributes.get("content", "") is None:
            return
        if what.startswith("og:image") and not self._has_picture:
            return
        self._start("meta", attributes)

    def _embed(self, tag: str, attributes: Attributes) -> None:
        """Put JSON into the page that a script of the page would fetch."""
        urls = (attributes[CURVES] or "").split()
        attributes[CURVES] = ""
        self._start(tag, attributes)
        for url in urls:
            text = self._links.data(url)
            if text is not None:
                # So that no text in it ends the block; in JSON, < stands in texts alone.
                safe = text.replace("<", "\\u003c")
                self._copy(f'<script type="application/json">{safe}</script>')
