from urllib.robotparser import RobotFileParser
from xml.etree import ElementTree

import pytest
from starlette.testclient import TestClient

from server.syndication import sitemap
from tests.server.factories import submit

BASE = "http://board.test"
NAMESPACE = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
INDEX = "/sitemap.xml"


def addresses(client: TestClient, path: str, parent: str) -> list[str]:
    """The addresses of an index or a sitemap, which must be one by the protocol."""
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/xml"
    assert response.headers["cache-control"] == "public, max-age=3600"
    root = ElementTree.fromstring(response.content)
    assert root.tag == NAMESPACE + ("sitemapindex" if parent == "sitemap" else "urlset")
    assert {child.tag for child in root} <= {NAMESPACE + parent}
    return [child.findtext(f"{NAMESPACE}loc") or "" for child in root]


def paths(client: TestClient) -> list[str]:
    """The paths of all sitemaps that the index names."""
    return [one.removeprefix(BASE) for one in addresses(client, INDEX, "sitemap")]


def test_a_new_server_has_a_sitemap_of_its_tracks_alone(client: TestClient) -> None:
    assert paths(client) == ["/sitemaps/tracks.xml"]
    found = addresses(client, "/sitemaps/tracks.xml", "url")
    assert found[0] == f"{BASE}/"
    assert f"{BASE}/tracks/debug" in found
    for address in found:
        assert client.get(address.removeprefix(BASE)).status_code == 200


def test_each_submission_is_in_one_sitemap(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sitemap, "MAX_ADDRESSES", 2)
    ids = {submit(client, f"One of {n}").submission_id for n in range(5)}
    found = paths(client)
    assert found == [
        "/sitemaps/tracks.xml",
        *(f"/sitemaps/submissions-{number}.xml" for number in (1, 2, 3)),
    ]
    each = [addresses(client, path, "url") for path in found[1:]]
    assert [len(one) for one in each] == [2, 2, 1]
    listed = [address for one in each for address in one]
    assert set(listed) == {f"{BASE}/submissions/{identity}" for identity in ids}


@pytest.mark.parametrize("number", ["0", "-1", "2", "9" * 30])
def test_a_sitemap_that_the_index_does_not_name_is_404(client: TestClient, number: str) -> None:
    submit(client)
    assert client.get(f"/sitemaps/submissions-{number}.xml").status_code == 404
    assert client.get("/sitemaps/submissions-1.xml").status_code == 200


def test_the_number_of_a_sitemap_is_a_number(client: TestClient) -> None:
    assert client.get("/sitemaps/submissions-x.xml").status_code == 422


def test_crawlers_are_told_what_to_leave_alone(client: TestClient) -> None:
    response = client.get("/robots.txt")
    assert response.headers["content-type"].startswith("text/plain")
    robots = RobotFileParser()
    robots.parse(response.text.splitlines())
    assert robots.site_maps() == [BASE + INDEX]
    for path in ("/", "/tracks/debug", "/submissions/s_x", "/submissions/s_x/card.png"):
        assert robots.can_fetch("Anybot", path), path
    for path in ("/api/v1/tracks", "/compare?a=s_x&b=s_y", "/submit", "/sign-in?back=/"):
        assert not robots.can_fetch("Anybot", path), path
    assert robots.can_fetch("Twitterbot", "/compare?a=s_x&b=s_y")
    assert not robots.can_fetch("Twitterbot", "/api/v1/tracks")
