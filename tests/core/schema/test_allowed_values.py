import pytest
from pydantic.fields import FieldInfo

from core.schema.allowed_values import allowed_values, default_text, type_name
from core.schema.setting_names import find_field


def field(path: str) -> FieldInfo:
    found = find_field(tuple(path.split(".")))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("path", "type_", "allowed", "default"),
    [
        ("model.dropout", "number", "0 ≤ x < 1", "0.1"),
        ("model.attention.num_heads", "whole number", "1 ≤ n ≤ 256", "8"),
        ("model.attention.qk_norm", "true or false", "`true`, `false`", "false"),
        ("training.weights", "one of several", "`float32`, `bfloat16`", "float32"),
        ("model.attention.window_pattern", "list", "list of 1 to 256: n", "[0]"),
        ("training.batch_size_stages", "list", "list of 0 to 8: entries as below", "[]"),
        ("data.tokenizer", "text", "text", ""),
    ],
)
def test_a_setting_in_words(path: str, type_: str, allowed: str, default: str) -> None:
    found = field(path)
    assert (type_name(found), allowed_values(found), default_text(found)) == (
        type_,
        allowed,
        default,
    )
