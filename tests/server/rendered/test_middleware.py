import asyncio
import gzip
from collections.abc import Iterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from core.schema.track import Track
from server.access.rate_limit import RateLimits
from server.live.hub import Hub
from server.rendered.cache import PageCache
from server.rendered.middleware import RenderedPages
from server.settings import ServerSettings
from tests.server.conftest import Serve
from tests.server.factories import claim_one, finish, heartbeat, submit

PAGE = "/tracks/debug"
Tracks = dict[str, Track]


@pytest.fixture
def cached(serve: Serve, settings: ServerSettings, tracks: Tracks) -> Iterator[TestClient]:
    """A server that keeps pages for a minute, so that only changes end them."""
    with serve(tracks, settings.model_copy(update={"page_cache_seconds": 60.0})) as client:
        yield client


class Counted:
    """An application that counts how often it is asked and answers when it may."""

    def __init__(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self._status = status
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        number = self.asked
        await self.may_answer.wait()
        response = Response(f"answer {number}", self._status, self._headers)
        await response(scope, receive, send)


def around(app: Counted, settings: ServerSettings, hub: Hub) -> httpx.AsyncClient:
    async def nothing(request: Request) -> Response:
        return Response()

    paths = [Route("/page", nothing).path_regex]
    cache = PageCache(hub, 60.0)
    kept = RenderedPages(app, cache, paths, "session", RateLimits(settings))
    return httpx.AsyncClient(transport=httpx.ASGITransport(kept), base_url="http://board.test")


async def together(app: Counted, client: httpx.AsyncClient, count: int) -> list[str]:
    """The answers to as many requests at once."""
    tasks = [asyncio.create_task(client.get("/page")) for _ in range(count)]
    await asyncio.sleep(0.05)
    app.may_answer.set()
    return [(await task).text for task in tasks]


def test_requests_at_once_render_a_page_once(settings: ServerSettings) -> None:
    async def ask() -> list[str]:
        app = Counted()
        async with around(app, settings, Hub()) as client:
            return await together(app, client, 5)

    assert asyncio.run(ask()) == ["answer 1"] * 5


def test_while_one_renders_anew_others_get_the_last_version(settings: ServerSettings) -> None:
    async def ask() -> list[str]:
        app, hub = Counted(), Hub()
        async with around(app, settings, hub) as client:
            await together(app, client, 1)
            app.may_answer.clear()
            hub.tell(["queue"])
            return await together(app, client, 3)

    assert asyncio.run(ask()) == ["answer 2", "answer 1", "answer 1"]


@pytest.mark.parametrize(
    "app", [{"status": 404}, {"headers": {"Set-Cookie": "a=b"}}], ids=["failure", "cookie"]
)
def test_what_is_for_one_reader_is_kept_for_no_other(
    app: dict[str, object], settings: ServerSettings
) -> None:
    async def ask() -> set[str]:
        counted = Counted(**app)  # type: ignore[arg-type]
        async with around(counted, settings, Hub()) as client:
            return {*await together(counted, client, 3), (await client.get("/page")).text}

    assert asyncio.run(ask()) == {f"answer {number}" for number in (1, 2, 3, 4)}


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer fdl_a"}, {"Cookie": "session=a"}], ids=["token", "cookie"]
)
def test_whoever_says_who_he_is_gets_a_page_of_his_own(
    headers: dict[str, str], settings: ServerSettings
) -> None:
    async def ask() -> list[str]:
        app = Counted()
        app.may_answer.set()
        async with around(app, settings, Hub()) as client:
            answers = [await client.get("/page", headers=given) for given in ({}, headers, {})]
        return [answer.text for answer in answers]

    assert asyncio.run(ask()) == ["answer 1", "answer 2", "answer 1"]


def test_pages_are_compressed_for_those_who_take_it(cached: TestClient) -> None:
    plain = cached.get(PAGE, headers={"Accept-Encoding": "identity"})
    refused = cached.get(PAGE, headers={"Accept-Encoding": "br, gzip;q=0"})
    assert "content-encoding" not in plain.headers | refused.headers
    compressed = cached.get(PAGE, headers={"Accept-Encoding": "gzip, br"})
    assert compressed.headers["Content-Encoding"] == "gzip"
    assert int(compressed.headers["Content-Length"]) == len(gzip.compress(plain.content, 5))
    assert compressed.content == plain.content
    for answer in (plain, compressed):
        assert answer.headers["Vary"] == "Accept-Encoding"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_page_that_has_not_changed_is_not_sent_again(cached: TestClient) -> None:
    tag = cached.get(PAGE).headers["ETag"]
    same = cached.get(PAGE, headers={"If-None-Match": f'"other", {tag}'})
    assert (same.status_code, same.content, same.headers["ETag"]) == (304, b"", tag)
    assert "Content-Type" not in same.headers
    submit(cached)
    assert cached.get(PAGE, headers={"If-None-Match": tag}).status_code == 200


def test_readers_see_what_the_server_has_changed(cached: TestClient) -> None:
    def shows(text: str, **headers: str) -> bool:
        return text in cached.get(PAGE, headers=headers).text

    assert not shows("Kept no longer")
    submit(cached, "Kept no longer")
    assert shows("Kept no longer")
    offer = claim_one(cached)
    assert shows("running")
    heartbeat(cached, offer, completed=123)
    assert not shows("123 of 250")
    assert shows("123 of 250", **{"Cache-Control": "no-cache"})
    finish(cached, offer, 1.2345)
    assert shows("1.2345")


def test_a_query_is_another_page_and_the_api_is_never_kept(cached: TestClient) -> None:
    pages = {cached.get(f"{PAGE}{query}").headers["ETag"] for query in ("", "?sort=name")}
    assert len(pages) == 2
    assert "ETag" not in cached.get(f"/api/v1{PAGE}/leaderboard").headers
    assert "ETag" not in cached.get("/tracks/nowhere").headers


def test_pages_that_are_kept_count_for_the_limit_of_their_reader(
    serve: Serve, settings: ServerSettings, tracks: Tracks
) -> None:
    limited = {"page_cache_seconds": 60.0, "access": "tokens", "reads_per_minute": 4}
    with serve(tracks, ServerSettings(**{**settings.model_dump(), **limited})) as client:
        statuses = [client.get(PAGE).status_code for _ in range(6)]
    assert statuses.count(200) < 6
    assert statuses[-1] == 429
