import pytest

from core.estimate.budget import budget_violations
from core.schema.overrides import resolve
from core.tracks import load_tracks

TRACKS = load_tracks()


def violations(track, overrides, prices=None, **budget):
    rules = track.rules
    rules = rules.model_copy(
        update={
            "budget": rules.budget.model_copy(update=budget),
            "prices_usd_per_hour": rules.prices_usd_per_hour if prices is None else prices,
        }
    )
    changed = track.model_copy(update={"rules": rules})
    return budget_violations(changed, resolve(track.base, overrides))


@pytest.mark.parametrize("name", sorted(TRACKS))
def test_every_baseline_fits_its_own_budget(name):
    assert budget_violations(TRACKS[name], TRACKS[name].base) == []


def test_flops_are_bounded_by_the_baselines():
    (message,) = violations(TRACKS["gpu_24gb"], {"training.tokens": 10_240_000})
    assert "1.25 × the baseline's" in message


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("gpu_24gb", "Make the model smaller or sequences shorter."),
        ("h100_3b", "Make the model smaller or train on fewer tokens."),
    ],
)
def test_the_remedy_for_too_many_flops_is_one_that_the_track_leaves_open(name, remedy):
    layers = TRACKS[name].base.model.num_layers
    (message,) = violations(TRACKS[name], {"model.num_layers": layers + 8}, memory_gib=None)
    assert message.endswith(remedy)


def test_steps_are_bounded():
    messages = violations(TRACKS["h100_3b"], {"training.steps": 20_000})
    assert any("20,000 steps" in message and "10,000" in message for message in messages)


def test_memory_names_the_largest_part_and_a_remedy():
    (message,) = violations(TRACKS["fifty_cent"], {"training.batch_size": 512})
    assert "activations take" in message
    assert "the track allows 24 GiB" in message
    assert "gradient_accumulation_steps" in message


def test_that_remedy_helps():
    accumulated = {"training.batch_size": 512, "training.gradient_accumulation_steps": 32}
    assert violations(TRACKS["fifty_cent"], accumulated) == []


def test_dollars_are_bounded_by_the_cheapest_gpu():
    (message,) = violations(TRACKS["five_dollar"], {"training.tokens": 9 * 10**9})
    assert "cheapest listed GPU (RTX 4090)" in message
    assert "$5.00" in message
    # One cheap and fast GPU is enough.
    prices = {"H100": 2.2, "H200": 0.1}
    assert violations(TRACKS["five_dollar"], {"training.tokens": 9 * 10**9}, prices) == []


def in_dollars(dollars):
    return {"training": {"tokens": 0, "dollars": dollars}}


def test_a_budget_in_dollars_is_at_most_the_tracks():
    assert violations(TRACKS["five_dollar"], in_dollars(5.0)) == []
    (message,) = violations(TRACKS["five_dollar"], in_dollars(5.01))
    assert "training.dollars is 5.01; the track allows 5." in message


@pytest.mark.parametrize("prices", [{}, {"H100": 0.0}])
def test_a_budget_in_dollars_needs_prices(prices):
    (message,) = violations(TRACKS["five_dollar"], in_dollars(1.0), prices)
    assert "lists no prices" in message


def test_a_budget_in_dollars_must_pay_for_more_than_compilation():
    (message,) = violations(TRACKS["five_dollar"], in_dollars(0.001))
    assert "does not pay for compilation" in message


def test_a_track_that_bounds_work_takes_no_budget_in_dollars():
    (message,) = violations(TRACKS["gpu_24gb"], in_dollars(1.0))
    assert "depends on the GPU" in message
    (message,) = violations(TRACKS["five_dollar"], in_dollars(1.0), steps=10)
    assert "bounds steps or FLOPs" in message


@pytest.mark.parametrize(("opened", "mentions"), [(True, True), (False, False)])
def test_the_dollar_remedy_is_offered_where_it_is_open(opened, mentions):
    track = TRACKS["five_dollar"]
    settings = tuple(s for s in track.rules.open_settings if s != "training.dollars")
    settings += ("training.dollars",) if opened else ()
    rules = track.rules.model_copy(update={"open_settings": settings})
    (message,) = violations(
        track.model_copy(update={"rules": rules}), {"training.tokens": 9 * 10**9}
    )
    assert ("training.dollars" in message) == mentions
