"""The page for what cannot be shown."""

from dataclasses import dataclass
from http import HTTPStatus

from fastapi.responses import HTMLResponse

from server.pages.page import Page, Viewer
from server.templating import render


@dataclass(frozen=True, kw_only=True)
class ErrorPage(Page):
    """Context of `error.html`."""

    status: int
    heading: str
    message: str


def error_response(status: int, message: str, viewer: Viewer) -> HTMLResponse:
    """An error as a page in the look of all others."""
    heading = "This page does not exist" if status == 404 else HTTPStatus(status).phrase
    page = ErrorPage(title=heading, status=status, heading=heading, message=message)
    return render("error.html", page, viewer, status)
