"""Settings of several configs."""

from pydantic import BaseModel, JsonValue

from core.schema.compared_settings import compared_settings
from core.schema.overrides import resolve
from core.tracks import load_tracks


class Loose(BaseModel):
    """A config of one setting that may be anything."""

    group: dict[str, JsonValue]


def test_zero_false_null_and_absent_are_four_values():
    configs = [Loose(group={"x": value, "y": 1}) for value in (0, False, None)]
    (row,) = compared_settings([*configs, Loose(group={"y": 1})])
    assert row.path == "group.x"
    assert row.present == (True, True, True, False)
    assert [type(value) for value in row.values] == [int, bool, type(None), type(None)]


def test_zero_and_false_alone_differ():
    assert compared_settings([Loose(group={"x": 0}), Loose(group={"x": False})])
    assert not compared_settings([Loose(group={"x": False}), Loose(group={"x": False})])


def test_settings_of_another_kind_of_group_are_absent():
    base = load_tracks()["debug"].base
    files = {"data.source.kind": "files", "data.source.path": "text.txt"}
    other = resolve(base, files)
    rows = {row.path: row for row in compared_settings([base, other, base])}
    assert list(rows) == [
        "data.source.kind",
        "data.source.world_seed",
        "data.source.path",
        "data.source.text_field",
    ]
    assert rows["data.source.kind"].values == ("synthetic", "files", "synthetic")
    # The world's seed is 0, which is not the same as having none.
    assert rows["data.source.world_seed"].values == (0, None, 0)
    assert rows["data.source.world_seed"].present == (True, False, True)
