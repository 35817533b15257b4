from collections.abc import Mapping
from typing import Any

import pytest

from core.schema.canonical import canonical
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import differences, resolve
from core.schema.track import Track
from server.memory.changes import StartingPoint
from server.memory.forms import CanonicalForm

DENSE = {
    "model.feed_forward.layer_pattern": ["dense"],
    "model.feed_forward.dense_hidden_size": 512,
}


@pytest.fixture
def base(tracks: dict[str, Track]) -> ExperimentConfig:
    """With 4 experts of 512 channels, which are not the defaults."""
    return tracks["debug"].base


def changed(before: ExperimentConfig, after: ExperimentConfig) -> dict[str, tuple[Any, Any]]:
    changes = StartingPoint(before).changes_to(CanonicalForm.of(after))
    return {change.path: (change.before, change.after) for change in changes}


def test_settings_of_a_part_that_was_switched_off_are_no_changes(base: ExperimentConfig) -> None:
    dense = resolve(base, DENSE)
    paths = {change.path for change in differences(canonical(base), canonical(dense))}
    assert "model.feed_forward.num_experts" in paths
    assert changed(base, dense) == {
        "model.feed_forward.layer_pattern": (["experts"], ["dense"]),
        "model.feed_forward.dense_hidden_size": (4096, 512),
    }


def test_a_part_that_is_switched_on_has_the_settings_that_it_was_given(
    base: ExperimentConfig,
) -> None:
    dense = resolve(base, DENSE)
    assert list(changed(dense, base)) == ["model.feed_forward.layer_pattern"]
    three = resolve(base, {"model.feed_forward.num_experts": 3})
    assert changed(dense, three) == {
        "model.feed_forward.layer_pattern": (["dense"], ["experts"]),
        # In canonical form, a model without experts has the default, 8.
        "model.feed_forward.num_experts": (8, 3),
    }


def test_a_setting_that_changes_nothing_is_left_out(base: ExperimentConfig) -> None:
    overrides: Mapping[str, Any] = {"schedule.kind": "constant", "schedule.decay_fraction": 0.5}
    assert list(changed(base, resolve(base, overrides))) == ["schedule.kind"]


def test_two_spellings_of_one_experiment_have_one_change(base: ExperimentConfig) -> None:
    by_kind = resolve(base, {"schedule.kind": "constant"})
    by_fraction = resolve(base, {"schedule.final_fraction": 1.0})
    assert changed(base, by_fraction) == changed(base, by_kind)
    assert changed(by_kind, by_fraction) == {}
