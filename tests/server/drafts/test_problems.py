from core.schema.problem import Problem
from core.tracks import load_tracks
from server.drafts.problems import DraftProblem, draft_problems

TRACKS = load_tracks()
STAGES = [{"from_fraction": 0.5, "batch_size": 0}]
TEXT = {
    "track": "debgu",
    "author": 5,
    "overrides": {
        "model.dropout": 1.5,
        "optimizer": {"muon": {"learning_rate": "fast"}},
        "training.batch_size_stages": STAGES,
        "model.dropoot": 0.1,
    },
}


def of(path: str) -> DraftProblem:
    problem = Problem(path=path, message="is wrong.", line=3)
    (found,) = draft_problems([problem], TEXT, TRACKS)  # type: ignore[arg-type]
    assert (found.path, found.message, found.line) == (path, "is wrong.", 3)
    return found


def test_each_problem_has_the_value_that_was_written() -> None:
    assert of("track").value == "debgu"
    assert of("author").value == 5
    assert of("model.dropout").value == 1.5
    assert of("optimizer.muon.learning_rate").value == "fast"
    assert of("training.batch_size_stages").value == STAGES
    assert of("training.batch_size_stages.0.batch_size").value == 0
    assert of("training.batch_size_stages.1.batch_size").value is None
    assert of("model.dropoot").value == 0.1
    assert [of(path).value for path in ("name", "overrides", "")] == [None] * 3


def test_each_problem_has_what_is_allowed() -> None:
    assert of("track").allowed == ", ".join(f"`{name}`" for name in TRACKS)
    assert of("author").allowed == "Letters, digits, dot, dash and underscore."
    assert of("model.dropout").allowed == "0 ≤ x < 1"
    assert of("model.norm_placement").allowed == "`pre`, `post`, `sandwich`"
    assert of("training.batch_size_stages.0.batch_size").allowed.startswith("1 ≤ n")
    assert [of(path).allowed for path in ("model.dropoot", "model", "overrides", "")] == [""] * 4


def test_what_the_track_fixes_allows_nothing() -> None:
    problem = Problem(path="data.tokenizer", message="is fixed.")
    (found,) = draft_problems([problem], {"track": "debug"}, TRACKS)
    assert found.allowed == ""
    assert of("data.tokenizer").allowed == "text"
