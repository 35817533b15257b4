import shutil
from pathlib import Path

import pytest

from core.errors import InvalidInput
from core.proposal import propose, read_submission
from core.schema.canonical import experiment_hash
from core.schema.model_config import ModelConfig
from core.schema.setting_names import find_field
from core.schema.track import listed_price
from core.tracks import BASELINES, find_track, load_baseline_results, load_tracks
from core.training_plan import plan

SUBMISSIONS = BASELINES.parent / "submissions"


def test_all_five_tracks_load():
    assert sorted(load_tracks()) == ["debug", "fifty_cent", "five_dollar", "gpu_24gb", "h100_3b"]


@pytest.mark.parametrize("name", sorted(load_tracks()))
def test_committed_results_belong_to_the_tracks_base_config(name):
    track = load_tracks()[name]
    runs = load_baseline_results(name).runs
    seeds = [run.result.seed for run in runs]
    assert len(set(seeds)) == len(seeds)
    identity = experiment_hash(name, track.rules.version, track.base)
    for run in runs:
        assert run.experiment_hash == identity
        assert run.result.tokens == plan(track.base.training).num_tokens


def test_the_identity_of_the_measured_baseline_never_changes():
    track = load_tracks()["gpu_24gb"]
    identity = experiment_hash("gpu_24gb", track.rules.version, track.base)
    assert identity == "c73568bfbb571804a3c2d26eee4ee79b2c13fe34ad9ef9e26ab95dac88e716a7"


@pytest.mark.parametrize("track", load_tracks().values(), ids=load_tracks())
def test_every_open_setting_exists(track):
    assert all(find_field(tuple(name.split("."))) for name in track.rules.open_settings)


@pytest.mark.parametrize("track", load_tracks().values(), ids=load_tracks())
def test_every_setting_of_the_model_but_the_vocabulary_is_open(track):
    closed = {name for name in ModelConfig.model_fields if not track.rules.is_open(f"model.{name}")}
    assert closed == {"vocab_size"}


@pytest.mark.parametrize("path", sorted(SUBMISSIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_example_is_valid_but_for_the_wrong_one(path: Path):
    document = path.read_bytes()
    if path.stem != "wrong_on_purpose":
        propose(read_submission(document, load_tracks()), load_tracks())
        return
    with pytest.raises(InvalidInput) as error:
        propose(read_submission(document, load_tracks()), load_tracks())
    assert [problem.line for problem in error.value.problems] == [7, 8, 11, 12]


def test_adding_a_track_is_adding_a_folder(tmp_path):
    shutil.copytree(BASELINES / "debug", tmp_path / "mine")
    rules = (tmp_path / "mine" / "track.yaml").read_text()
    (tmp_path / "mine" / "track.yaml").write_text(rules.replace("name: debug", "name: mine"))
    assert list(load_tracks(tmp_path)) == ["mine"]


def test_a_wrong_track_file_is_refused_with_file_and_line(tmp_path):
    shutil.copytree(BASELINES / "debug", tmp_path / "debug")
    config = tmp_path / "debug" / "config.yaml"
    config.write_text(config.read_text().replace("num_layers: 2", "num_layers: none"))
    with pytest.raises(InvalidInput, match=r"line 4: model\.num_layers: .*config\.yaml"):
        load_tracks(tmp_path)


def test_unknown_track_names_the_nearest():
    with pytest.raises(InvalidInput, match="Did you mean `gpu_24gb`"):
        find_track("gpu24gb", load_tracks())


def test_price_is_that_of_the_most_specific_listed_model():
    prices = {"H100": 2.0, "H100 NVL": 3.0}
    assert listed_price(prices, "NVIDIA H100 NVL") == 3.0
    assert listed_price(prices, "NVIDIA H100 80GB HBM3") == 2.0
    assert listed_price(prices, "NVIDIA B200") is None
    assert listed_price(prices, "NVIDIA GH100") is None
