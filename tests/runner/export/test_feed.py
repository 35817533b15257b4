"""Links of a feed."""

from xml.etree import ElementTree

from runner.export.feed import ATOM, rewrite_feed

FEED = f"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="{ATOM}"><id>http://b/records.atom</id><title>R</title>
<link rel="self" href="http://b/records.atom"/>
<entry><id>urn:1</id><link rel="alternate" href="http://b/submissions/s_1"/><summary>ä</summary></entry>
<entry><id>urn:2</id><link rel="alternate" href="http://b/missing?page=2"/></entry></feed>"""


def test_links_are_relative_and_identities_stay() -> None:
    known = {"/records.atom": "records.atom", "/submissions/s_1": "submissions/s_1/index.html"}
    asked = []

    def href_of(path: str) -> str | None:
        asked.append(path)
        return known.get(path)

    feed = ElementTree.fromstring(rewrite_feed(FEED.encode(), href_of))
    assert [link.get("href") for link in feed.iter(f"{{{ATOM}}}link")] == list(known.values())
    assert [one.text for one in feed.iter(f"{{{ATOM}}}id")] == [
        "http://b/records.atom",
        "urn:1",
        "urn:2",
    ]
    assert [one.text for one in feed.iter(f"{{{ATOM}}}summary")] == ["ä"]
    assert asked == [*known, "/missing?page=2"]
