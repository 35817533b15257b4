import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.schema.canonical import experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import differences, resolve
from core.schema.setting_names import setting_names
from core.schema.training_config import BatchSizeStage
from core.tracks import load_tracks

BASE = load_tracks()["debug"].base
RULES = load_tracks()["debug"].rules


def problems(overrides, lines=None, rules=RULES):
    with pytest.raises(InvalidInput) as error:
        resolve(BASE, overrides, lines, rules)
    return error.value.problems


def test_nested_and_dotted_overrides_resolve_to_the_same_experiment():
    nested = resolve(BASE, {"optimizer": {"muon": {"learning_rate": 0.02}}})
    dotted = resolve(BASE, {"optimizer.muon.learning_rate": 2e-2})
    mixed = resolve(BASE, {"optimizer": {"muon.learning_rate": 0.02}})
    assert nested == dotted == mixed
    assert nested.optimizer.muon.learning_rate == 0.02


def test_base_stays_untouched_and_no_override_is_the_base():
    before = BASE.model_dump_json()
    assert resolve(BASE, {}) == BASE
    resolve(BASE, {"model.dropout": 0.5})
    assert BASE.model_dump_json() == before


def test_unknown_setting_names_path_line_and_nearest():
    (problem,) = problems({"model.atention.qk_norm": True}, {("model", "atention", "qk_norm"): 7})
    assert problem.path == "model.atention.qk_norm"
    assert problem.line == 7
    assert problem.nearest == "model.attention.qk_norm"


def test_misplaced_setting_is_found_by_its_last_name():
    (problem,) = problems({"router_noise": 0.2})
    assert problem.nearest == "model.feed_forward.router_noise"


def test_every_problem_is_reported_at_once():
    found = problems(
        {
            "model.nothing": 1,
            "model.dropout": 1.5,
            "optimizer.muon.learning_rate": "fast",
            "training.tokens": 5,
            "model.attention": {},
        }
    )
    assert [problem.path for problem in found] == [
        "model.nothing",
        "training.tokens",
        "model.attention",
        "model.dropout",
        "optimizer.muon.learning_rate",
    ]


def test_wrong_value_is_shown_with_bound_and_meaning():
    (problem,) = problems({"model.dropout": 1.5})
    assert "1.5" in problem.message
    assert "less than 1" in problem.message
    assert "Probability" in problem.message


@pytest.mark.parametrize("value", [True, "4", 4.5, None, [4], {"a": 4}])
def test_a_whole_number_takes_no_other_type(value):
    assert problems({"model.num_layers": value})


def test_setting_given_nested_and_dotted_is_refused():
    found = problems({"model": {"dropout": 0.1}, "model.dropout": 0.2})
    assert "twice" in found[0].message


def test_closed_setting_names_what_is_open():
    (problem,) = problems({"data.num_documents": 10})
    assert "model.attention" in problem.message
    assert resolve(BASE, {"data.num_documents": 10}, rules=None).data.num_documents == 10


def test_sizes_that_do_not_fit_are_refused_with_both():
    (problem,) = problems({"model.hidden_size": 130}, {("model", "hidden_size"): 3})
    assert "130" in problem.message
    assert "num_heads 4" in problem.message
    assert problem.line == 3


def test_differences_keep_zero_false_and_absent_apart():
    other = resolve(
        BASE,
        {"model.feed_forward.router_noise": 0.0, "model.tie_embeddings": False},
    )
    changes = {change.path: (change.before, change.after) for change in differences(BASE, other)}
    assert changes == {
        "model.tie_embeddings": (True, False),
        "model.feed_forward.router_noise": (0.1, 0.0),
    }


@given(
    st.dictionaries(
        st.sampled_from(setting_names()),
        st.one_of(
            st.integers(-5, 5000),
            st.floats(allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.text(max_size=8),
            st.none(),
        ),
        max_size=6,
    )
)
def test_any_override_is_accepted_or_refused_with_a_path(overrides):
    refused: tuple[str, ...] = ()
    resolved = BASE
    try:
        resolved = resolve(BASE, overrides)
    except InvalidInput as error:
        refused = tuple(problem.message for problem in error.problems)
    again = ExperimentConfig.model_validate_json(json.dumps(resolved.model_dump(mode="json")))
    assert experiment_hash("t", 1, again) == experiment_hash("t", 1, resolved)
    assert all(refused)


def test_another_kind_of_source_replaces_the_settings_of_the_old_one():
    overrides = {"data.source.path": "/texts", "data.source.kind": "files"}
    source = resolve(BASE, overrides).data.source
    assert source.model_dump() == {"kind": "files", "path": "/texts", "text_field": "text"}


def test_a_setting_of_another_kind_of_source_is_named_by_its_path():
    (problem,) = problems({"data.source.path": "/texts"}, rules=None)
    assert problem.path == "data.source.path"
    assert problem.message == "there is no such key; allowed are kind, world_seed."
    (problem,) = problems({"data.source.kind": "files"}, rules=None)
    assert problem.text().startswith("data.source.path: is missing.")


STAGES = "training.batch_size_stages"


def test_a_list_of_groups_is_set_as_a_whole():
    stages = [{"from_fraction": 0.5, "batch_size": 16}]
    resolved = resolve(BASE, {STAGES: stages})
    assert resolved.training.batch_size_stages == (
        BatchSizeStage(from_fraction=0.5, batch_size=16),
    )
    (problem,) = problems({f"{STAGES}.0.batch_size": 16}, rules=None)
    assert problem.text().startswith(
        f"{STAGES}.0.batch_size: is inside a list, which is set as a whole; set {STAGES}."
    )


@pytest.mark.parametrize(
    ("entry", "path", "message"),
    [
        (
            {"from_fraction": 2, "batch_size": 16},
            "0.from_fraction",
            "2 is not allowed: must be less than 1. (Share of the budget that is spent when it "
            "begins)",
        ),
        (
            {"from_fraction": 0.5, "batch_siz": 16},
            "0.batch_siz",
            "there is no such key; allowed are from_fraction, batch_size.",
        ),
        (
            {"from_fraction": 0.5},
            "0.batch_size",
            "is missing. (Sequences in one optimizer step)",
        ),
    ],
)
def test_a_mistake_inside_a_list_is_named_by_its_place(entry, path, message):
    found = {problem.path: problem for problem in problems({STAGES: [entry]}, rules=None)}
    assert found[f"{STAGES}.{path}"].message == message


def test_a_mistake_inside_a_list_has_the_line_of_its_key_or_its_entry():
    place = ("training", "batch_size_stages")
    lines = {place: 4, (*place, "0", "from_fraction"): 5}
    found = problems({STAGES: [{"from_fraction": 2.0}]}, rules=None, lines=lines)
    assert {problem.path: problem.line for problem in found} == {
        f"{STAGES}.0.from_fraction": 5,
        f"{STAGES}.0.batch_size": 5,
    }


def test_a_list_of_groups_is_no_group():
    written = {STAGES: {"from_fraction": 0.5, "batch_size": 16}}
    found = problems(written, rules=None)
    assert [problem.path for problem in found] == [
        f"{STAGES}.from_fraction",
        f"{STAGES}.batch_size",
    ]
    assert all(problem.message.endswith(f"set {STAGES}.") for problem in found)


@pytest.mark.parametrize(
    ("name", "value", "where", "message"),
    [
        (
            "model.feed_forward.layer_pattern",
            ["expert", "dense"],
            ".0",
            "\"expert\" is not allowed: must be 'experts' or 'dense'.",
        ),
        (
            "model.attention.value_embedding_pattern",
            [True, 0],
            ".1",
            "0 is not allowed: must be true or false.",
        ),
        (
            "model.attention.value_embedding_pattern",
            [],
            "",
            "[] is not allowed: must have 1 or more entries. (Pattern of the layers that",
        ),
        (
            STAGES,
            [{"from_fraction": 0.1 * n, "batch_size": 8} for n in range(1, 10)],
            "",
            "is not allowed: must have 8 or fewer entries. (Later batch sizes, in order)",
        ),
        (
            "model.attention.window_pattern",
            16,
            "",
            "16 is not allowed: must be a list. (Pattern of how many",
        ),
    ],
)
def test_a_wrong_list_is_one_problem_with_the_lists_line(name, value, where, message):
    (problem,) = problems({name: value}, {tuple(name.split(".")): 9})
    assert problem.path == name + where
    assert message in problem.message
    assert problem.line == 9


def test_a_message_is_one_line_whatever_the_docstring():
    (problem,) = problems({"model.extra_predictions": 7})
    assert "\n" not in problem.text()
    assert "on the trunk's output and the shared head" in problem.text()
