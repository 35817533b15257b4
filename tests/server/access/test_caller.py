import pytest

from core.errors import InvalidInput
from core.schema.access import Scope
from server.access.caller import ANYBODY, Caller, require_author


def caller(scope: Scope, name: str = "ada") -> Caller:
    return Caller(token_id="t_a", name=name, scope=scope)


@pytest.mark.parametrize(
    ("held", "granted"),
    [
        (Scope.SUBMIT, {Scope.SUBMIT}),
        (Scope.WORK, {Scope.WORK}),
        (Scope.ADMIN, {Scope.ADMIN, Scope.SUBMIT}),
    ],
)
def test_each_scope_grants_what_it_says(held: Scope, granted: set[Scope]) -> None:
    assert {scope for scope in Scope if caller(held).may(scope)} == granted


def test_anybody_has_no_scope_and_may_be_any_author() -> None:
    assert not any(ANYBODY.may(scope) for scope in Scope)
    require_author(ANYBODY, "ada")


def test_only_administrators_speak_for_others() -> None:
    require_author(caller(Scope.SUBMIT), "ada")
    require_author(caller(Scope.ADMIN), "bob")
    with pytest.raises(InvalidInput) as refused:
        require_author(caller(Scope.SUBMIT), "bob", line=3)
    (problem,) = refused.value.problems
    assert (problem.path, problem.line) == ("author", 3)
    assert problem.message.startswith("'bob' is not allowed: the request comes from 'ada'")


@pytest.mark.parametrize("author", ["Ada", "ad", "adaa", ""])
def test_a_similar_name_is_another_author(author: str) -> None:
    assert not caller(Scope.SUBMIT).speaks_for(author)
