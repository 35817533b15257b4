"""What becomes of each kind of element."""

import pytest

from runner.export.page_rewriter import PageRewriter

JSON = '{"name": "</script><!-- & é"}'


class Links:
    """An export that has what its names say, and its address where it is told."""

    def __init__(self, address: str | None = None) -> None:
        self.address = address

    def page(self, url: str) -> str | None:
        return None if "missing" in url else f"page:{url}"

    def file(self, url: str) -> str | None:
        return None if "missing" in url else f"file:{url}"

    def picture(self, url: str) -> str | None:
        return self.file(url)

    def own(self) -> str | None:
        return self.address

    def data(self, url: str) -> str | None:
        return None if "missing" in url else JSON


def rewrite(html: str) -> str:
    return PageRewriter(Links(), "Exported <now>").rewrite(html)


@pytest.mark.parametrize(
    "html",
    [
        '<!doctype html>\n<html lang="en"><body>',
        "<p title='a &amp; b'>&lt;script&gt; &#39; &amp;amp; é</p>",
        '<svg viewBox="0 0 1 1"><line x1="0"/><circle r="1"></circle></svg>',
        "<title>&lt;b&gt; a</title><pre>\n a < b & c</pre>",
        "<script>if (a < b && c) { '<p>' }</script>",
        "<details open><summary>a</summary></details><br>",
    ],
)
def test_what_needs_no_server_stays_as_it_is(html: str) -> None:
    assert rewrite(html) == html


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<a class="x" href="/a?b&amp;c">t</a>', '<a href="page:/a?b&amp;c" class="x">t</a>'),
        (
            '<a class="sort" href="/missing" title="&lt;" rel="next">t</a><a href="/a">u</a>',
            '<span class="sort" title="&lt;">t</span><a href="page:/a">u</a>',
        ),
        ('<a id="x">t</a>', '<a id="x">t</a>'),
        ('<link rel="stylesheet" href="/s?v=1">', '<link rel="stylesheet" href="file:/s?v=1">'),
        ('a<link rel="alternate" href="/missing">b', "ab"),
        ('a<link rel="canonical" href="/a">b', "ab"),
        ('<script src="/s" defer></script>', '<script src="file:/s" defer></script>'),
        ('a<script src="/missing"></script>b', "ab"),
        ('a<img src="/missing">b', "ab"),
        ('a<form action="/x"><input name="q"><p>t</p></form>b', "ab"),
        ('a<script type="application/ld+json">{"url": "x"}</script>b', "ab"),
        ("a<td data-needs-server><table><td>t</td></table></td>b", "ab"),
        ('a<input data-needs-server name="x">b', "ab"),
        ('<body class="x" data-renew-seconds="3">', '<body class="x">'),
        ('a<meta property="og:url" content="/a">b', "ab"),
        (
            '<meta property="og:image" content="/a"><meta property="og:image:alt" content="t">',
            '<meta property="og:image" content="file:/a"><meta property="og:image:alt" content="t">',
        ),
        ('<meta property="og:image" content="/missing"><meta property="og:image:alt">b', "b"),
        ("a<!-- note -->b", "ab"),
    ],
)
def test_what_needs_a_server_is_changed_or_left_out(before: str, after: str) -> None:
    assert rewrite(before) == after


def test_a_page_names_its_address_where_it_is_known() -> None:
    html = '<meta property="og:url" content="/a"><meta name="x">'
    known = PageRewriter(Links("https://a.example/"), "").rewrite(html)
    assert known == '<meta property="og:url" content="https://a.example/"><meta name="x">'


def test_curves_stand_in_the_page_and_cannot_end_their_block() -> None:
    assert rewrite('<div data-curves="/a /missing">t</div>') == (
        '<div data-curves=""><script type="application/json">'
        '{"name": "\\u003c/script>\\u003c!-- & é"}</script>t</div>'
    )


def test_the_foot_says_when_and_whence() -> None:
    assert "<span>Exported &lt;now&gt;</span>" in rewrite("<footer><p>t</p></footer>")
