"""Who looks at a page."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request

from server.pages.page import Viewer
from server.sign_in.forgery import form_token
from server.sign_in.notice import read_notice
from server.sign_in.session import find_session


def viewer_of(request: Request) -> Viewer:
    """Who is signed in, and where to sign in and come back from."""
    if request.app.state.sign_in is None:
        return Viewer(form_token=form_token(request))
    session = find_session(request)
    path = request.url.path
    is_page = request.method == "GET" and not path.startswith("/sign-in")
    return Viewer(
        sign_in_url=f"/sign-in?{urlencode({'back': path if is_page else '/'})}",
        author=session.author if session else "",
        form_token=form_token(request),
        notice=read_notice(request, session) if session else None,
    )


async def find_viewer(request: Request) -> Viewer:
    """FastAPI dependency: who looks at the page that is asked for."""
    return viewer_of(request)


PageViewer = Annotated[Viewer, Depends(find_viewer)]
