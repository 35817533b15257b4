from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import select
from starlette.testclient import TestClient
from typer.testing import CliRunner

from server.__main__ import command_line
from server.backup import BackupRefused, back_up, restore
from server.database import create_engine, read_session
from server.ledger.check import check_ledger
from server.settings import ServerSettings
from server.tables import SubmissionRow
from tests.server.factories import submit, submit_and_finish


def names(engine: Engine) -> list[str]:
    with read_session(engine) as session:
        return sorted(session.exec(select(SubmissionRow.name)))


def test_a_restored_copy_of_a_running_server_passes_the_ledgers_check(
    client: TestClient, settings: ServerSettings, tmp_path: Path
) -> None:
    submit_and_finish(client, "Before")
    back_up(settings.database_url, tmp_path / "copy")
    submit(client, "After")
    restored = f"sqlite:///{tmp_path}/new/board.sqlite"
    restore(restored, tmp_path / "copy", overwrite=False)
    engine = create_engine(restored)
    assert names(engine) == ["Before"]
    with read_session(engine) as session:
        report = check_ledger(session)
    engine.dispose()
    assert (report.num_results, report.faults) == (1, ())


def test_a_running_server_serves_what_was_restored(
    client: TestClient, engine: Engine, settings: ServerSettings, tmp_path: Path
) -> None:
    submit(client, "Before")
    back_up(settings.database_url, tmp_path / "copy")
    submit(client, "After")
    with pytest.raises(BackupRefused, match="--overwrite"):
        restore(settings.database_url, tmp_path / "copy", overwrite=False)
    assert names(engine) == ["After", "Before"]
    restore(settings.database_url, tmp_path / "copy", overwrite=True)
    assert names(engine) == ["Before"]
    assert client.get("/api/v1/ledger/check").json()["faults"] == []


def test_a_file_that_is_no_database_is_not_restored(
    settings: ServerSettings, tmp_path: Path
) -> None:
    (tmp_path / "copy").write_text("no database" * 100)
    with pytest.raises(BackupRefused, match="no board's database"):
        restore(settings.database_url, tmp_path / "copy", overwrite=True)
    with pytest.raises(BackupRefused, match="no file"):
        restore(settings.database_url, tmp_path / "none", overwrite=True)


def test_a_copy_replaces_no_file(settings: ServerSettings, tmp_path: Path) -> None:
    (tmp_path / "copy").touch()
    with pytest.raises(BackupRefused, match="name a new file"):
        back_up(settings.database_url, tmp_path / "copy")


def test_postgresql_has_its_own_program(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="pg_dump"):
        back_up("postgresql+psycopg://user@host/name", tmp_path / "copy")


def test_the_commands_copy_and_put_back(
    settings: ServerSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIVE_DOLLAR_DATABASE_URL", settings.database_url)
    copy = str(tmp_path / "copy")
    assert CliRunner().invoke(command_line, ["backup", copy]).exit_code == 0
    refused = CliRunner().invoke(command_line, ["restore", copy])
    assert refused.exit_code == 2
    assert "--overwrite" in refused.output
    assert CliRunner().invoke(command_line, ["restore", copy, "--overwrite"]).exit_code == 0
