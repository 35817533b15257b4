from core.schema.overrides import resolve
from core.schema.track import Track
from server.memory.forms import CanonicalForm, form_of_stored


def test_a_form_says_whether_the_config_had_it(tracks: dict[str, Track]) -> None:
    base = tracks["debug"].base
    plain = CanonicalForm.of(base)
    assert (plain.config, plain.is_as_written) == (base, True)
    # Every layer gets the same window, and it hides nothing of 128 tokens.
    windows = resolve(base, {"model.attention.window_pattern": [128, 0]})
    form = CanonicalForm.of(windows)
    assert (form.config, form.is_as_written) == (base, False)
    assert form.values["model.attention.window_pattern"] == [0]


def test_a_stored_config_is_read_once(tracks: dict[str, Track]) -> None:
    text = tracks["debug"].base.model_dump_json()
    assert form_of_stored(text) is form_of_stored(text)
    assert form_of_stored(text).values["optimizer.muon.learning_rate"] == 0.03
