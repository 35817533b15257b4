from core.schema.setting_names import setting_names
from tests import settings_page


def test_the_page_of_settings_says_what_the_schema_says():
    # If not: python -m tests.settings_page
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page(
        settings_page.tables()
    )


def test_every_setting_has_a_row():
    tables = settings_page.tables()
    assert [name for name in setting_names() if f"\n| `{name}` |" not in tables] == []


def test_a_row_gives_default_bounds_tracks_and_meaning():
    tables = settings_page.tables()
    for row in (
        "| `model.dropout` | `0.1` | 0 ≤ x < 1 | all | Probability that a channel is dropped",
        "| `model.attention.qk_norm` | `false` | `true`, `false` | all | RMS-normalise each",
        "| `model.attention.latent.rotary_head_dim` | `32` | 2 ≤ n ≤ 256, a multiple of 2 | all |",
        "| `model.vocab_size` |  | 2 ≤ n ≤ 1,000,000 | none | Entries of the embedding",
        "| `training.tokens` | `0` | 0 ≤ n ≤ 10,000,000,000,000 | `fifty_cent`, `five_dollar` |",
        "| `training.weights` | `float32` | `float32`, `bfloat16` | all but `debug` |",
        "| `training.batch_size_stages` | `[]` | list of 0 to 8: entries as below | all |",
        "| `from_fraction` |  | 0 < x < 1 | all | Share of the budget that is spent when it",
    ):
        assert f"\n{row}" in tables
