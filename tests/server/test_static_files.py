import gzip

import pytest
from starlette.testclient import TestClient

from server.templating import STATIC, static_url

STYLE = (STATIC / "site.css").read_bytes()
GZIP = {"Accept-Encoding": "gzip"}
PLAIN = {"Accept-Encoding": "identity"}


def raw(client: TestClient, path: str, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
    """A body as it came, and the headers."""
    with client.stream("GET", path, headers=headers) as answer:
        return b"".join(answer.iter_raw()), dict(answer.headers)


def test_a_file_is_sent_compressed_to_those_who_take_that(client: TestClient) -> None:
    body, headers = raw(client, static_url("site.css"), GZIP)
    assert headers["content-encoding"] == "gzip"
    assert headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(body) == STYLE
    assert len(body) == int(headers["content-length"]) < len(STYLE) / 3
    plain, headers = raw(client, static_url("site.css"), PLAIN)
    assert plain == STYLE
    assert "content-encoding" not in headers
    assert headers["vary"] == "Accept-Encoding"


def test_an_address_that_names_the_content_is_kept_for_good(client: TestClient) -> None:
    for path, wanted in (
        (static_url("site.css"), "public, max-age=31536000, immutable"),
        ("/static/site.css", "public, max-age=300"),
    ):
        assert client.get(path).headers["cache-control"] == wanted


@pytest.mark.parametrize("accepts", [GZIP, PLAIN])
def test_who_has_the_file_gets_no_second_one(client: TestClient, accepts: dict[str, str]) -> None:
    tag = client.get("/static/site.css", headers=accepts).headers["etag"]
    again = client.get("/static/site.css", headers={**accepts, "If-None-Match": tag})
    assert again.status_code == 304
    assert again.content == b""


def test_what_would_not_get_smaller_is_sent_as_it_is(client: TestClient) -> None:
    _, headers = raw(client, "/static/vendor/uplot/LICENSE", GZIP)
    assert "content-encoding" not in headers
