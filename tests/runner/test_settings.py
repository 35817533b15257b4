"""Settings from the environment."""

from pathlib import Path

import pytest

from runner.errors import BadSettings
from runner.settings import read_settings


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in (
        "SERVER_URL",
        "DIRECTORY",
        "CACHE_DIRECTORY",
        "MIRROR",
        "REST_SECONDS",
        "HANG_SECONDS",
        "UPLOAD_SECONDS",
        "TOKEN",
    ):
        monkeypatch.delenv(f"FIVE_DOLLAR_{name}", raising=False)


def test_defaults_need_no_environment():
    settings = read_settings()
    assert settings.server_url == "http://127.0.0.1:8000"
    assert settings.directory == Path("runs")
    assert settings.mirror is None
    assert (settings.rest_seconds, settings.hang_seconds) == (15, 900)
    assert settings.upload_seconds == 300


def test_the_command_line_comes_before_the_environment(monkeypatch):
    monkeypatch.setenv("FIVE_DOLLAR_SERVER_URL", "http://environment")
    monkeypatch.setenv("FIVE_DOLLAR_DIRECTORY", "/environment")
    settings = read_settings(server_url="http://chosen")
    assert settings.server_url == "http://chosen"
    assert settings.directory == Path("/environment")


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http:// x"])
def test_an_address_without_http_is_refused(monkeypatch, url):
    monkeypatch.setenv("FIVE_DOLLAR_SERVER_URL", url)
    with pytest.raises(BadSettings, match=r"FIVE_DOLLAR_SERVER_URL.*such as http://127"):
        read_settings()


@pytest.mark.parametrize(
    ("value", "reason"),
    [("soon", "it must be a valid number."), ("901", "it must be less than or equal to 900.")],
)
def test_a_wrong_number_is_refused_with_what_is_allowed(monkeypatch, value, reason):
    monkeypatch.setenv("FIVE_DOLLAR_REST_SECONDS", value)
    with pytest.raises(BadSettings) as refused:
        read_settings()
    assert str(refused.value) == (
        f"rest_seconds (FIVE_DOLLAR_REST_SECONDS) is {value!r}, which is not allowed: {reason}"
    )


def test_a_token_is_shown_by_nothing_that_holds_it(monkeypatch):
    secret = "fdl_" + "x" * 43
    monkeypatch.setenv("FIVE_DOLLAR_TOKEN", secret)
    settings = read_settings(server_url="http://chosen")
    assert settings.token.get_secret_value() == secret
    assert secret not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize("value", ["hunter2", "fdl_short", "fdl_" + "x" * 42 + "\n"])
def test_a_wrong_token_is_refused_without_being_repeated(monkeypatch, value):
    monkeypatch.setenv("FIVE_DOLLAR_TOKEN", value)
    with pytest.raises(BadSettings, match="FIVE_DOLLAR_TOKEN is not a token") as refused:
        read_settings()
    assert value not in str(refused.value)
    assert refused.value.__suppress_context__
