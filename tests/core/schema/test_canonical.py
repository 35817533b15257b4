"""One experiment has one hash, however it is written; another experiment has another.

That a setting which the canonical form drops has no effect is proved by training, in
`tests/core/train/test_settings_without_effect.py`.
"""

import json
from typing import Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.proposal import propose, read_submission
from core.schema.canonical import canonical, canonical_json, experiment_hash
from core.schema.experiment import ExperimentConfig
from core.schema.overrides import differences, flatten, resolve
from core.schema.setting_names import entry_groups_of, find_field, setting_names
from core.tracks import load_tracks
from core.yaml_document import read_yaml

TRACKS = load_tracks()
DEBUG = TRACKS["debug"].base

CONDITIONAL = {
    "model.extra_prediction_weight",
    "model.attention.rotary_base",
    "model.attention.rotary_fraction",
    "model.attention.window_pattern",
    "model.attention.value_embedding_pattern",
    *(name for name in setting_names() if name.startswith("model.attention.latent.")),
    *(
        name
        for name in setting_names()
        if name.startswith("model.feed_forward.") and not name.endswith(".activation")
    ),
    "optimizer.muon.momentum_start",
    "optimizer.muon.momentum_warmup_fraction",
    "optimizer.muon.nesterov",
    "optimizer.muon.neuron_norm_beta",
    "optimizer.muon.cautious_weight_decay",
    "optimizer.adamw.router_rate_ratio",
    "schedule.kind",
    "schedule.final_fraction",
    "schedule.decay_fraction",
    "training.batch_size_stages",
    "training.sequence_length_stages",
}
"""Settings that some other setting can switch off, or that can be written in several ways."""
ALWAYS = [
    name
    for name in setting_names()
    if name not in CONDITIONAL and not name.startswith(("data.", "evaluation."))
]


def identity(experiment):
    return experiment_hash("debug", 1, experiment)


def values_of(name):
    """Any value that the schema allows at a setting, as YAML would give it."""
    field = find_field(tuple(name.split(".")))
    bounds = {type(bound): bound for bound in field.metadata}
    if entry_groups_of(field):
        (group,) = entry_groups_of(field)
        other = next(key for key in group.model_fields if key != "from_fraction")
        sizes = st.sampled_from([8, 16, 32, 64])
        fractions = st.sampled_from([0.25, 0.5, 0.75])
        return st.lists(st.fixed_dictionaries({"from_fraction": fractions, other: sizes}))
    if get_origin(field.annotation) is tuple:
        return st.lists(scalars(get_args(field.annotation)[0], {}), min_size=1, max_size=4)
    return scalars(field.annotation, bounds)


def scalars(kind, bounds):
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is int:
        least = bounds[Ge].ge if Ge in bounds else 0
        most = bounds[Le].le if Le in bounds else 300
        return st.integers(least, min(most, least + 300))
    assert kind is float
    least = bounds[Ge].ge if Ge in bounds else bounds[Gt].gt
    most = bounds[Le].le if Le in bounds else bounds[Lt].lt
    return st.one_of(
        st.floats(least, most, exclude_min=Gt in bounds, exclude_max=Lt in bounds).map(abs),
        st.sampled_from([v for v in (0.0, 0.5, 1.0, 2.0) if least < v < most] or [most / 2]),
    )


@st.composite
def diffs(draw, base, rules):
    """Overrides that a track accepts on a base; each start of them is accepted too."""
    open_names = [name for name in setting_names() if rules.is_open(name)]
    accepted = {}
    for name in draw(st.lists(st.sampled_from(open_names), max_size=8, unique=True)):
        extended = accepted | {name: draw(values_of(name))}
        try:
            resolve(base, extended, rules=rules)
        except InvalidInput:
            continue
        accepted = extended
    return accepted


@st.composite
def written(draw):
    """(a track's base config, overrides that the track accepts)."""
    track = TRACKS[draw(st.sampled_from(sorted(TRACKS)))]
    return track.base, draw(diffs(track.base, track.rules))


def nested(draw, overrides):
    """The same overrides, each path cut into keys at random places."""
    tree = {}
    for path, value in overrides.items():
        keys, group = path.split("."), tree
        while keys:
            size = draw(st.integers(1, len(keys)))
            key, keys = ".".join(keys[:size]), keys[size:]
            if keys:
                group = group.setdefault(key, {})
            else:
                group[key] = value
    return tree


@given(written(), st.data())
def test_order_and_nesting_do_not_change_the_hash(case, data):
    base, overrides = case
    shuffled = dict(data.draw(st.permutations(list(overrides.items()))))
    respelled = nested(data.draw, shuffled)
    assert dict(flatten(respelled)) == {tuple(k.split(".")): v for k, v in overrides.items()}
    assert identity(resolve(base, respelled)) == identity(resolve(base, overrides))


@given(written(), st.data())
def test_a_setting_written_at_the_value_it_has_does_not_change_the_hash(case, data):
    base, overrides = case
    resolved = resolve(base, overrides)
    have = {".".join(p): v for p, v in flatten(resolved.model_dump(mode="json"))}
    names = data.draw(st.lists(st.sampled_from(sorted(have)), max_size=10))
    explicit = overrides | {name: have[name] for name in names}
    assert identity(resolve(base, explicit)) == identity(resolved)


@given(written(), st.data())
def test_a_chain_of_submissions_is_the_submission_of_its_sum(case, data):
    base, first = case
    rules = next(track.rules for track in TRACKS.values() if track.base == base)
    parent = resolve(base, first)
    second = data.draw(diffs(parent, rules))
    chained = resolve(parent, second)
    assert identity(chained) == identity(resolve(base, first | second))
    # Back again: a child that undoes everything is the baseline.
    undone = {change.path: change.after for change in differences(chained, base)}
    assert identity(resolve(chained, undone)) == identity(base)


@st.composite
def spellings(draw, value):
    """A value as a person may write it in YAML."""
    if isinstance(value, bool):
        return draw(st.sampled_from(("true", "True", "yes", "on") if value else ("false", "no")))
    if isinstance(value, float):
        forms = [repr(value), f"{value:.17e}", f"{value:.17E}", f"+{value!r}", f"{value!r}".upper()]
        mantissa, _, exponent = f"{value:.17e}".partition("e")
        forms.append(f"{mantissa}e{int(exponent)}")
        forms += [f"{value!r}0"] if "e" not in repr(value) else []
        forms += [str(int(value))] if value.is_integer() and value < 1e15 else []
        return draw(st.sampled_from(forms))
    if isinstance(value, int):
        return draw(st.sampled_from([str(value), f"{value:_}", f"+{value}"]))
    return json.dumps(value)


@given(written(), st.data())
def test_the_spelling_of_a_number_does_not_change_the_hash(case, data):
    base, overrides = case
    lines = [f"{name}: {data.draw(spellings(value))}" for name, value in overrides.items()]
    read = read_yaml("\n".join(lines) or "{}", 64 * 1024).value
    assert identity(resolve(base, read)) == identity(resolve(base, overrides))


@pytest.mark.parametrize(
    "text", ["1e-3", "1E-3", "1.0e-3", "1.0e-03", "0.001", ".001", "+0.001", "0.0010", "0.1e-2"]
)
def test_a_thousandth_is_a_thousandth(text):
    yaml = "track: debug\nname: a\nauthor: b\nhypothesis: c\noverrides:\n"
    yaml += f"  optimizer.adamw.learning_rate: {text}\n"
    proposal = propose(read_submission(yaml, TRACKS), TRACKS)
    expected = resolve(DEBUG, {"optimizer.adamw.learning_rate": 0.001})
    assert proposal.experiment_hash == identity(expected) != identity(DEBUG)


WHOLE = [(text, 5.0) for text in ("5", "5.0", "5.", "5e0", "0.5e1", "+5", "5_0e-1")]
ZERO = [(text, 0.0) for text in ("0", "0.0", "-0.0", "-0", "0e5", "-.0")]


@pytest.mark.parametrize(("text", "value"), [*WHOLE, *ZERO])
def test_whole_numbers_are_fractions_and_zero_has_no_sign(text, value):
    # Neither is the default, which would be left out however it is written.
    read = read_yaml(f"optimizer.adamw.weight_decay: {text}", 100).value
    plain = resolve(DEBUG, {"optimizer.adamw.weight_decay": value})
    assert identity(resolve(DEBUG, read)) == identity(plain) != identity(DEBUG)


@pytest.mark.parametrize("name", ALWAYS)
@settings(max_examples=10)
@given(written(), st.data())
def test_another_value_of_a_setting_that_always_counts_is_another_experiment(name, case, data):
    base, overrides = case
    resolved = resolve(base, overrides)
    try:
        other = resolve(resolved, {name: data.draw(values_of(name))})
    except InvalidInput:
        return
    assert (identity(other) == identity(resolved)) is (other == resolved)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("training.tokens", 256_001),
        ("data.num_documents", 4001),
        ("data.tokenizer", "other"),
        ("data.source.world_seed", 1),
        ("data.held_out_fraction", 0.2),
        ("data.separator", "<|end|>"),
        ("evaluation.sequence_length", 64),
        ("evaluation.validation_rows", 99),
        ("evaluation.interval_steps", 49),
        ("evaluation.tasks", []),
    ],
)
def test_budget_data_and_evaluation_are_part_of_the_identity(name, value):
    assert identity(resolve(DEBUG, {name: value})) != identity(DEBUG)


def test_track_and_version_are_part_of_the_identity():
    hashes = {experiment_hash(*of, DEBUG) for of in (("debug", 1), ("debug", 2), ("gpu_24gb", 1))}
    assert len(hashes) == 3


@given(written())
def test_the_canonical_form_is_a_valid_config_and_its_own_canonical_form(case):
    base, overrides = case
    plain = canonical(resolve(base, overrides))
    assert ExperimentConfig.model_validate_json(canonical_json(plain)) == plain
    assert canonical(plain) == plain


@pytest.mark.parametrize("track", TRACKS.values(), ids=TRACKS)
def test_base_configs_are_canonical(track):
    assert canonical(track.base) == track.base
    assert "rotary_base" not in canonical_json(track.base)


@pytest.mark.parametrize(
    ("head_dim", "first", "second", "rotary_dim"),
    [
        # Channels turn in pairs, rounded down, and at least one pair.
        (32, 0.5, 0.55, 16),
        (32, 0.001, 0.09, 2),
        (2, 0.1, 1.0, 2),
        # 44 × (30 / 44) is below 30 in floating point.
        (44, 30.25 / 44, 31.75 / 44, 30),
    ],
)
def test_fractions_that_turn_as_many_channels_are_one(head_dim, first, second, rotary_dim):
    base = resolve(DEBUG, {"model.hidden_size": 4 * head_dim})
    one, other = (resolve(base, {"model.attention.rotary_fraction": f}) for f in (first, second))
    assert one.model.rotary_dim == canonical(one).model.rotary_dim == rotary_dim
    assert identity(one) == identity(other)
    assert (identity(one) == identity(base)) is (rotary_dim == head_dim)


PATTERNS = [
    # (pattern, layers, its shortest equal), worked by hand.
    ((0, 0), 2, (0,)),
    ((64, 0, 64, 0), 8, (64, 0)),
    ((64, 0, 64), 4, (64, 0, 64)),
    ((64, 0, 32), 2, (64, 0)),
    ((64, 0), 1, (64,)),
    ((64, 0, 0, 64, 0), 4, (64, 0, 0)),
    # 128 tokens is the longest sequence of the track.
    ((127, 128), 2, (127, 0)),
    ((128, 256), 2, (0,)),
]


@pytest.mark.parametrize(("pattern", "num_layers", "shortest"), PATTERNS)
def test_patterns_are_reduced_by_hand(pattern, num_layers, shortest):
    overrides = {"model.attention.window_pattern": list(pattern), "model.num_layers": num_layers}
    assert canonical(resolve(DEBUG, overrides)).model.attention.window_pattern == shortest
