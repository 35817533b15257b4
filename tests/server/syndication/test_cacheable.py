import pytest
from fastapi import Request
from fastapi.responses import Response

from server.syndication.cacheable import cacheable


def ask(if_none_match: str = "", content: bytes = b"one") -> Response:
    headers = [(b"if-none-match", if_none_match.encode())] if if_none_match else []
    return cacheable(Request({"type": "http", "headers": headers}), content, "text/plain", 300)


def test_an_answer_is_kept_for_the_time_given() -> None:
    response = ask()
    assert response.body == b"one"
    assert response.headers["cache-control"] == "public, max-age=300"
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_who_has_it_gets_304_without_it(form: str) -> None:
    tag = ask().headers["etag"]
    response = ask(form.format(tag))
    assert (response.status_code, response.body) == (304, b"")
    assert response.headers["etag"] == tag


def test_who_has_something_else_gets_it_anew() -> None:
    tag = ask(content=b"two").headers["etag"]
    response = ask(tag)
    assert (response.status_code, response.body) == (200, b"one")
