"""The board as files, read the way their readers do."""

import csv
import io
import sys

import pyarrow
import pytest
from pyarrow import parquet
from starlette.testclient import TestClient

from server.syndication.board_columns import board_columns
from tests.server.boards import RELU, finish_next, measure_baseline
from tests.server.factories import API, submit, submit_and_finish

BOARD = f"{API}/tracks/debug/leaderboard"
EVIL = '=HYPERLINK("http://x.test";"y"), "z"'


def read_csv(client: TestClient, address: str = f"{BOARD}.csv") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(address).text, newline="")))


@pytest.fixture
def judged(client: TestClient) -> TestClient:
    """A board with a baseline and one better experiment."""
    measure_baseline(client)
    submit(client, EVIL, RELU)
    finish_next(client, 1.5)
    return client


def test_csv_has_the_figures_of_the_json_board(judged: TestClient) -> None:
    board = judged.get(BOARD).json()
    row, (_, better) = board["rows"][0], read_csv(judged)
    verdict = row["verdict"]
    assert better["rank"] == "1"
    assert better["is_record"] == "true"
    assert better["verdict"] == verdict["verdict"] == "better"
    for column, value in [
        ("val_loss_nats", row["result"]["val_loss"]),
        ("delta_nats", row["delta"]),
        ("verdict_delta_nats", verdict["delta"]),
        ("verdict_low_nats", verdict["low"]),
        ("verdict_high_nats", verdict["high"]),
        ("synthetic_world_acc_norm", row["result"]["tasks"][0]["acc_norm"]),
    ]:
        assert float(better[column]) == value, column
    assert better["comparability_key"] == board["key"]
    assert better["experiment_hash"] == row["experiment_hash"]
    assert better["submission_id"] == row["submission_id"]


def test_csv_has_the_baseline_first_and_empty_where_it_has_nothing(judged: TestClient) -> None:
    baseline = read_csv(judged)[0]
    assert baseline["is_baseline"] == "true"
    assert baseline["num_seeds"] == "5"
    assert (baseline["rank"], baseline["verdict"], baseline["delta_nats"]) == ("", "", "")


def test_a_name_that_is_a_formula_is_disarmed_in_csv_and_kept_in_parquet(
    judged: TestClient,
) -> None:
    assert read_csv(judged)[1]["name"] == f"'{EVIL}"
    table = parquet.read_table(io.BytesIO(judged.get(f"{BOARD}.parquet").content))
    assert table["name"].to_pylist()[1] == EVIL


def test_parquet_has_the_rows_of_the_csv_with_types_and_descriptions(judged: TestClient) -> None:
    response = judged.get(f"{BOARD}.parquet")
    assert response.headers["content-type"] == "application/vnd.apache.parquet"
    table = parquet.read_table(io.BytesIO(response.content))
    columns = board_columns(["synthetic_world"])
    assert table.column_names == [column.name for column in columns] == list(read_csv(judged)[0])
    assert table.schema.field("created_at").type == pyarrow.timestamp("us", tz="UTC")
    assert table.schema.field("num_runs").type == pyarrow.int64()
    assert table.schema.field("rank").metadata[b"description"].startswith(b"From 1")
    assert table["rank"].to_pylist() == [None, 1]
    losses = [float(row["val_loss_nats"]) for row in read_csv(judged)]
    assert table["val_loss_nats"].to_pylist() == losses


def test_files_are_named_after_the_track_and_its_key(judged: TestClient) -> None:
    key = judged.get(BOARD).json()["key"]
    for ending in ("csv", "parquet"):
        named = judged.get(f"{BOARD}.{ending}").headers["content-disposition"]
        assert named == f'attachment; filename="debug-{key}.{ending}"'


def test_a_board_without_results_is_a_file_without_rows(client: TestClient) -> None:
    assert read_csv(client) == []
    response = client.get(f"{BOARD}.parquet")
    assert parquet.read_table(io.BytesIO(response.content)).num_rows == 0
    assert response.headers["content-disposition"] == 'attachment; filename="debug.parquet"'


def test_each_key_is_a_file_of_its_own(client: TestClient) -> None:
    submit_and_finish(client, "Baseline", validation="b")
    submit_and_finish(client, "Elsewhere", RELU, validation="e")
    keys = [one["key"] for one in client.get(BOARD).json()["keys"]]
    names = [row["name"] for row in read_csv(client, f"{BOARD}.csv?key={keys[1]}")]
    assert names == ["Elsewhere"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_unknown_tracks_and_keys_are_404(judged: TestClient, ending: str) -> None:
    for address in (f"{API}/tracks/nowhere/leaderboard.{ending}", f"{BOARD}.{ending}?key=feed"):
        response = judged.get(address)
        assert response.status_code == 404
        assert response.json()["kind"] == "not_found"


def test_without_pyarrow_parquet_is_501_with_a_way_out(
    judged: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    response = judged.get(f"{BOARD}.parquet")
    assert response.status_code == 501
    assert response.json()["kind"] == "parquet_unavailable"
    assert "leaderboard.csv" in response.json()["message"]
    assert read_csv(judged)


def test_the_description_names_both_files(client: TestClient) -> None:
    paths = client.get(f"{API}/openapi.json").json()["paths"]
    answers = {
        ending: paths[f"{API}/tracks/{{track}}/leaderboard.{ending}"]["get"]["responses"]
        for ending in ("csv", "parquet")
    }
    assert list(answers["csv"]["200"]["content"]) == ["text/csv"]
    assert list(answers["parquet"]["200"]["content"]) == ["application/vnd.apache.parquet"]
    assert "501" in answers["parquet"]
