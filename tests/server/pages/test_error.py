import pytest

from server.pages.error import error_response
from server.pages.page import NOBODY, Viewer


@pytest.mark.parametrize(
    ("status", "heading"),
    [(404, "This page does not exist"), (503, "Not at the moment"), (405, "Method Not Allowed")],
)
def test_error_page_names_status_and_reason(status: int, heading: str) -> None:
    response = error_response(status, "there is nothing at <b>.", NOBODY)
    html = bytes(response.body).decode()
    assert response.status_code == status
    assert f"<h1>{heading}</h1>" in html
    assert "there is nothing at &lt;b&gt;." in html


def test_where_signing_in_is_the_way_on_the_page_offers_it() -> None:
    viewer = Viewer(sign_in_url="/sign-in?back=%2Fsubmit")
    html = bytes(error_response(403, "you are not signed in.", viewer, True).body).decode()
    assert "<h1>Sign in first</h1>" in html
    assert 'class="action" href="/sign-in?back=%2Fsubmit"' in html
    refused = bytes(error_response(403, "not yours.", viewer).body).decode()
    assert 'class="action"' not in refused
