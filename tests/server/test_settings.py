import sys
from itertools import combinations
from pathlib import Path

import pytest
from fsspec.registry import _registry as registry
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
        ("artifacts_url", "/data/artifacts", "write file:///folder or s3://bucket/prefix"),
        ("artifacts_url", "file://artifacts", "write file:///folder or s3://bucket/prefix"),
        ("artifacts_url", "memory://artifacts", "write file:///folder or s3://bucket/prefix"),
        ("artifacts_url", "s3:///prefix", "write file:///folder or s3://bucket/prefix"),
        ("checkpoint_gib", -1, "greater than or equal to 0"),
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


SIGN_IN = {
    "github_client_id": "Iv1.client",
    "github_client_secret": "the-client-secret",
    "session_key": "k" * 32,
}


def test_sign_in_is_off_by_default_and_on_with_all_that_it_needs() -> None:
    assert not ServerSettings().has_sign_in
    settings = ServerSettings.model_validate({"access": "tokens", **SIGN_IN})
    assert settings.has_sign_in
    assert settings.github_client_secret.get_secret_value() == "the-client-secret"
    for secret in ("the-client-secret", "k" * 32):
        assert secret not in repr(settings)


@pytest.mark.parametrize("given", [*combinations(SIGN_IN, 1), *combinations(SIGN_IN, 2)])
def test_a_part_of_sign_in_is_refused_with_what_is_missing(given: tuple[str, ...]) -> None:
    some = {name: SIGN_IN[name] for name in given}
    with pytest.raises(ValidationError) as refused:
        ServerSettings.model_validate({"access": "tokens", **some})
    (problem,) = refused.value.errors()
    needs = problem["msg"].partition("; ")[0]
    for name in SIGN_IN:
        assert (f"FIVE_DOLLAR_{name.upper()}" in needs) == (name not in given)


def test_sign_in_needs_a_long_key_and_a_server_that_asks_who_writes() -> None:
    with pytest.raises(ValidationError, match="SESSION_KEY has fewer than 32 characters"):
        ServerSettings.model_validate({"access": "tokens", **SIGN_IN, "session_key": "k" * 31})
    with pytest.raises(ValidationError, match="needs FIVE_DOLLAR_ACCESS=tokens"):
        ServerSettings.model_validate(SIGN_IN)


@pytest.mark.parametrize(
    ("database_url", "folder"),
    [
        ("sqlite:////var/board/board.sqlite", "/var/board"),
        ("sqlite:///data/board.sqlite", f"{Path.cwd()}/data"),
        ("postgresql+psycopg://board@host/board", f"{Path.cwd()}/data"),
    ],
)
def test_artifacts_lie_beside_the_database_unless_a_place_is_named(
    database_url: str, folder: str
) -> None:
    settings = ServerSettings(database_url=database_url)
    assert settings.artifacts_address == f"file://{folder}/artifacts"
    elsewhere = ServerSettings(database_url=database_url, artifacts_url="file:///elsewhere")
    assert elsewhere.artifacts_address == "file:///elsewhere"


def test_a_bucket_without_its_package_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As if s3fs were not installed, wherever the test runs.
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(registry, "s3", raising=False)
    with pytest.raises(ValidationError, match=r"not installed.*five-dollar-llm\[s3\]"):
        ServerSettings(artifacts_url="s3://bucket/prefix")
