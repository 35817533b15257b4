import pytest

from server.pages.error import error_response
from server.pages.page import NOBODY


@pytest.mark.parametrize(
    ("status", "heading"), [(404, "This page does not exist"), (503, "Service Unavailable")]
)
def test_error_page_names_status_and_reason(status: int, heading: str) -> None:
    response = error_response(status, "there is nothing at <b>.", NOBODY)
    html = bytes(response.body).decode()
    assert response.status_code == status
    assert f"<h1>{heading}</h1>" in html
    assert "there is nothing at &lt;b&gt;." in html
