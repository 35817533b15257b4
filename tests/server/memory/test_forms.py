from core.schema.overrides import resolve
from core.schema.track import Track
from server.memory.forms import CanonicalForm


def test_a_form_says_whether_the_config_had_it(tracks: dict[str, Track]) -> None:
    base = tracks["debug"].base
    plain = CanonicalForm.of(base)
    assert (plain.config, plain.is_as_written) == (base, True)
    # Every layer gets the same window, and it hides nothing of 128 tokens.
    windows = resolve(base, {"model.attention.window_pattern": [128, 0]})
    form = CanonicalForm.of(windows)
    assert (form.config, form.is_as_written) == (base, False)
    assert form.values["model.attention.window_pattern"] == [0]
