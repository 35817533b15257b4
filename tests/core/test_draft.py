import pytest

from core.draft import read_draft
from core.errors import InvalidInput
from core.schema.overrides import resolve
from core.schema.problem import Problem
from core.tracks import load_tracks

TRACKS = load_tracks()

GOOD = """track: debug
name: QK-norm
author: ada
hypothesis: Steadier attention.
overrides:
  model.attention.qk_norm: true
"""


def no_parent(built_on, track, line):
    message = f"there is no {built_on} on {track.rules.name}"
    raise InvalidInput([Problem(path="built_on", message=message, line=line)])


def read(text):
    return read_draft(text, TRACKS, no_parent)


def places(draft):
    return [(problem.line, problem.path) for problem in draft.problems]


def test_a_good_submission_has_no_problem_and_is_all_there():
    draft = read(GOOD)
    assert draft.problems == ()
    assert draft.submission.name == "QK-norm"
    assert draft.track is TRACKS["debug"]
    assert draft.experiment.model.attention.qk_norm is True


def test_a_draft_without_name_and_hypothesis_already_has_its_experiment():
    text = GOOD.replace("name: QK-norm", "name:").replace("hypothesis: Steadier attention.\n", "")
    draft = read(text)
    assert places(draft) == [(1, "hypothesis"), (2, "name")]
    assert [problem.message[:11] for problem in draft.problems] == ["is missing."] * 2
    assert draft.submission is None
    assert draft.experiment.model.attention.qk_norm is True


def test_settings_that_do_not_go_together_are_named_even_while_the_name_is_missing():
    tied = "optimizer.adamw.head_rate_ratio: 0.5\n  model.tie_embeddings: true"
    draft = read(GOOD.replace("name: QK-norm\n", "").replace("model.attention.qk_norm: true", tied))
    assert any("needs model.tie_embeddings false" in problem.message for problem in draft.problems)
    assert draft.experiment is None


def test_what_is_wrong_is_named_once():
    draft = read(GOOD.replace("name: QK-norm\n", "").replace("qk_norm: true", "qk_nrom: true"))
    assert places(draft) == [(1, "name"), (5, "model.attention.qk_nrom")]


def test_a_budget_that_is_exceeded_leaves_the_experiment():
    draft = read(GOOD.replace("attention.qk_norm: true", "num_layers: 8"))
    assert places(draft) == [(5, "overrides")]
    assert "1.1" in draft.problems[0].message
    assert draft.experiment.model.num_layers == 8


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", (None, "")),
        ("overrides: [", (1, "")),
        ("x" * 70_000, (None, "")),
        (GOOD.replace("track: debug", "track: debgu"), (1, "track")),
        (GOOD.replace("track: debug", "track: [1]"), (1, "track")),
        (
            GOOD.replace("overrides:\n  model.attention.qk_norm: true", "overrides: 5"),
            (5, "overrides"),
        ),
        (GOOD + "built_on: 7\n", (7, "built_on")),
        (GOOD + "built_on: s_x\n", (7, "built_on")),
    ],
)
def test_what_cannot_be_understood_has_no_experiment(text, place):
    draft = read(text)
    assert places(draft) == [place]
    assert draft.experiment is None


def test_a_draft_starts_from_what_it_is_built_on():
    asked = []

    def parent_of(built_on, track, line):
        asked.append((built_on, track.rules.name, line))
        return resolve(track.base, {"model.dropout": 0.25})

    draft = read_draft(GOOD + "built_on: s_x\n", TRACKS, parent_of)
    assert asked == [("s_x", "debug", 7)]
    assert draft.problems == ()
    assert (draft.experiment.model.dropout, draft.experiment.model.attention.qk_norm) == (
        0.25,
        True,
    )
