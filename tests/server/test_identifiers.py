import re

from server.identifiers import new_id, new_lease_token


def test_an_id_is_its_kind_and_ten_base32_letters() -> None:
    for kind in ("s", "r", "j", "w"):
        assert re.fullmatch(rf"{kind}_[a-z2-7]{{10}}", new_id(kind))


def test_names_do_not_repeat() -> None:
    assert len({new_id("r") for _ in range(1000)}) == 1000
    assert len({new_lease_token() for _ in range(1000)}) == 1000
