import json

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from core.schema.experiment import ExperimentConfig
from core.schema.overrides import resolve
from core.schema.submission import Submission
from core.schema.track import Track
from server.drafts.completion import Completions, OfferedKey, completions
from tests.server.factories import API


@pytest.fixture(params=["debug", "gpu_24gb", "five_dollar"])
def track(request: pytest.FixtureRequest, tracks: dict[str, Track]) -> Track:
    return tracks[request.param]


def offered(track: Track) -> Completions:
    return completions(track, ("debug", track.rules.name))


def setting(track: Track, path: str) -> OfferedKey:
    (found,) = [one for one in offered(track).settings if one.path == path]
    return found


def test_keys_are_those_of_a_submission(track: Track) -> None:
    keys = {key.path: key for key in offered(track).keys}
    assert list(keys) == list(Submission.model_fields)
    assert keys["track"].values == ("debug", track.rules.name)
    assert keys["hypothesis"].what.startswith("What should happen, and why")


def test_every_offered_setting_is_open_and_none_is_missing(track: Track) -> None:
    paths = [one.path for one in offered(track).settings]
    assert len(set(paths)) == len(paths)
    assert {"model.dropout", "optimizer.muon.learning_rate"} <= set(paths)
    assert all(track.rules.is_open(path) for path in paths)
    assert not any(path.startswith(("data.", "evaluation.")) for path in paths)


def test_every_offered_setting_takes_the_baselines_value(track: Track) -> None:
    config = track.base.model_dump(mode="json")
    for one in offered(track).settings:
        value = config
        for key in one.path.split("."):
            value = value[key]
        assert one.baseline == value, one.path
        assert one.what, one.path
        assert one.allowed, one.path
        assert resolve(track.base, {one.path: one.baseline}, rules=track.rules) == track.base


def test_every_listed_value_is_of_the_settings_kind(track: Track) -> None:
    count = 0
    for one in offered(track).settings:
        for value in one.values:
            written = [value] if isinstance(one.baseline, list) else value
            tree: dict = track.base.model_dump(mode="json")
            inner = tree
            *groups, last = one.path.split(".")
            for group in groups:
                inner = inner[group]
            inner[last] = written
            kinds = set()
            try:
                ExperimentConfig.model_validate_json(json.dumps(tree))
            except ValidationError as error:
                kinds = {detail["type"] for detail in error.errors()}
            # It may not go with others, but it is no wrong value in itself.
            assert kinds <= {"value_error"}, one.path
            count += 1
    assert count > 30


def test_lists_of_groups_have_the_keys_of_their_entries(tracks: dict[str, Track]) -> None:
    stages = setting(tracks["debug"], "training.batch_size_stages")
    assert [(entry.path, entry.allowed[:5]) for entry in stages.entries] == [
        ("from_fraction", "0 < x"),
        ("batch_size", "1 ≤ n"),
    ]
    assert setting(tracks["debug"], "model.dropout").entries == ()
    assert setting(tracks["debug"], "model.feed_forward.layer_pattern").values == (
        "experts",
        "dense",
    )


def test_the_route_answers_with_a_tag_and_knows_it_again(client: TestClient) -> None:
    path = f"{API}/tracks/debug/completions"
    first = client.get(path)
    assert Completions.model_validate_json(first.content).track == "debug"
    assert first.headers["Cache-Control"] == "public, max-age=300"
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"{API}/tracks/nowhere/completions").status_code == 404
