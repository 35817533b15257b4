"""The administrator's client."""

from runner.administration import open_admin_client
from runner.settings import read_settings


def test_the_administrators_client_sends_the_token_of_the_environment(monkeypatch):
    secret = "fdl_" + "x" * 43
    monkeypatch.setenv("FIVE_DOLLAR_TOKEN", secret)
    with open_admin_client(read_settings(server_url="http://server:1")) as client:
        assert client.server_url == "http://server:1"
        headers = client._transport._http.headers
        assert headers["Authorization"] == f"Bearer {secret}"
        assert secret not in repr(headers)
