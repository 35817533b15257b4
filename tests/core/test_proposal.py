import pytest

from core.errors import InvalidInput
from core.proposal import propose, read_submission
from core.tracks import load_tracks

TRACKS = load_tracks()

GOOD = """track: debug
name: QK-norm
author: ada
hypothesis: Steadier attention.
overrides:
  model.attention.qk_norm: true
"""


def refusal(text):
    with pytest.raises(InvalidInput) as error:
        propose(read_submission(text, TRACKS), TRACKS)
    return str(error.value)


def test_a_good_submission_becomes_a_proposal():
    proposal = propose(read_submission(GOOD, TRACKS), TRACKS)
    assert proposal.experiment.model.attention.qk_norm is True
    assert [change.path for change in proposal.changes] == ["model.attention.qk_norm"]
    assert len(proposal.experiment_hash) == 64


def test_no_override_is_the_baseline():
    proposal = propose(read_submission(GOOD.split("overrides")[0], TRACKS), TRACKS)
    assert proposal.experiment == TRACKS["debug"].base
    assert proposal.changes == ()


def test_overrides_with_nothing_behind_it_are_none():
    text = GOOD.split("  model.attention")[0]
    assert text.endswith("overrides:\n")
    assert propose(read_submission(text, TRACKS), TRACKS).changes == ()


def test_parent_config_is_the_start_and_the_difference_is_to_the_baseline():
    parent = propose(
        read_submission(GOOD.replace("qk_norm: true", "rotary_base: 500.0"), TRACKS), TRACKS
    )
    child = propose(read_submission(GOOD, TRACKS), TRACKS, parent.experiment)
    assert [change.path for change in child.changes] == [
        "model.attention.rotary_base",
        "model.attention.qk_norm",
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("track: debug", "track: debgu", "Did you mean `debug`?"),
        ("author", "autor", "line 3: autor: there is no such key"),
        ("name: QK-norm", "name: ''", "line 2: name:"),
        ("name: QK-norm", "name: 5", "line 2: name: 5 is not allowed: must be a valid string"),
        ("name: QK-norm", 'name: "\\e[2J"', "no control characters"),
        ("hypothesis: Steadier", 'hypothesis: "\\e[2J" #', "no control characters but line breaks"),
        ("author: ada", "author: a b", "has not the form that is asked for. (Letters, digits"),
        ("name: QK-norm", 'name: "a\\u202eb"', "line 2: name:"),
        ("hypothesis: Steadier attention.", "", "hypothesis: is missing"),
        ("qk_norm: true", "qk_norm: 1", "line 6: model.attention.qk_norm: 1 is not allowed"),
        ("overrides:", "seed: 5\noverrides:", "line 5: seed: there is no such key"),
        ("model.attention.qk_norm: true", "training.tokens: 5", "is fixed by the track debug"),
        ("model.attention.qk_norm: true", "model.num_layers: 40", "the track allows 1.1 ×"),
        ("  model.attention.qk_norm: true", "  - 1", "overrides"),
    ],
)
def test_refusals_name_line_field_and_remedy(before, after, expected):
    assert expected in refusal(GOOD.replace(before, after))


def test_a_model_larger_than_the_memory_is_refused_with_both_sizes():
    text = GOOD.replace("track: debug", "track: five_dollar").replace(
        "model.attention.qk_norm: true",
        "model: {hidden_size: 4096, num_layers: 30, attention.num_heads: 32}",
    )
    assert "the track allows 24 GiB" in refusal(text)


def test_wrong_overrides_are_named_beside_a_wrong_header():
    text = GOOD.replace("author: ada", "author: a b").replace("qk_norm: true", "qk_nrm: true")
    assert "line 3: author:" in refusal(text)
    assert "line 6: model.attention.qk_nrm: there is no such setting" in refusal(text)


def test_wrong_overrides_are_named_beside_an_unknown_track():
    text = GOOD.replace("track: debug", "track: debgu").replace("qk_norm: true", "qk_norm: 7")
    assert "line 1: track: there is no track 'debgu'" in refusal(text)
    assert "line 6: model.attention.qk_norm: 7 is not allowed" in refusal(text)
