import pytest
from pydantic import ValidationError

from server.settings import Access, ServerSettings


def test_environment_variables_set_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIVE_DOLLAR_PORT", "9000")
    monkeypatch.setenv("FIVE_DOLLAR_LEASE_SECONDS", "30")
    settings = ServerSettings()
    assert (settings.port, settings.lease_seconds) == (9000, 30.0)


def test_links_start_with_the_address_listened_on_unless_another_is_public() -> None:
    assert ServerSettings(host="127.0.0.1", port=8123).base_url == "http://127.0.0.1:8123"
    assert ServerSettings(public_url="https://board.org").base_url == "https://board.org"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("database_url", "sqlite://", "lost with the process"),
        ("database_url", "sqlite:///:memory:", "lost with the process"),
        ("database_url", "board.sqlite", "not a database address"),
        ("port", 70_000, "less than or equal to 65535"),
        ("lease_seconds", 0, "greater than 0"),
        ("lease_seconds", float("nan"), "less than or equal to 86400"),
        ("public_url", "board.org", "should match pattern"),
        ("public_url", "https://board.org/", "should match pattern"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_reason(name: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ServerSettings.model_validate({name: value})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_an_open_server_listens_on_its_own_machine(host: str) -> None:
    assert ServerSettings(host=host).access is Access.OPEN


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "board.org"])
def test_an_open_server_listens_nowhere_else_and_says_what_to_do(host: str) -> None:
    with pytest.raises(ValidationError, match=r"server token NAME.*FIVE_DOLLAR_ACCESS=tokens"):
        ServerSettings(host=host)
    assert ServerSettings(host=host, access=Access.TOKENS).host == host
