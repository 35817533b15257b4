"""The page for what cannot be shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from fastapi.responses import HTMLResponse

from server.pages.page import Page, Viewer
from server.templating import render

HEADINGS: Mapping[int, str] = {
    403: "This is not allowed",
    404: "This page does not exist",
    422: "This address or form cannot be read",
    429: "Too many requests",
    500: "Something broke here",
    503: "Not at the moment",
}


@dataclass(frozen=True, kw_only=True)
class ErrorPage(Page):
    """Context of `error.html`."""

    status: int
    heading: str
    message: str
    needs_sign_in: bool = False
    """Whether the way on is to sign in."""


def error_response(
    status: int, message: str, viewer: Viewer, needs_sign_in: bool = False
) -> HTMLResponse:
    """An error as a page in the look of all others."""
    heading = HEADINGS.get(status) or HTTPStatus(status).phrase
    if needs_sign_in:
        heading = "Sign in first"
    page = ErrorPage(
        title=heading, status=status, heading=heading, message=message, needs_sign_in=needs_sign_in
    )
    return render("error.html", page, viewer, status)
