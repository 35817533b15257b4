import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from core.schema.access import Scope, TokenRequest
from server.access.tokens import issue, revoke
from server.database import write_session
from server.errors import NameTaken
from server.sign_in.author_names import author_of, give_name
from tests.server.factories import submit


def sign_in(engine: Engine, github_id: int, login: str) -> str:
    with write_session(engine) as session:
        return author_of(session, github_id, login)


def give(engine: Engine, name: str) -> None:
    with write_session(engine) as session:
        give_name(session, name)


def test_an_account_is_the_author_of_its_login_and_stays_it_when_the_login_changes(
    engine: Engine,
) -> None:
    assert sign_in(engine, 1, "Ada-L") == "Ada-L"
    assert sign_in(engine, 1, "Ada-L") == "Ada-L"
    assert sign_in(engine, 1, "countess") == "Ada-L"
    assert sign_in(engine, 2, "countess") == "countess"


@pytest.mark.parametrize("login", ["ada", "ADA"])
def test_who_gets_a_login_that_was_given_up_is_not_its_old_author(
    engine: Engine, login: str
) -> None:
    sign_in(engine, 1, "ada")
    with pytest.raises(NameTaken, match="another GitHub account, which had this login before"):
        sign_in(engine, 2, login)


@pytest.mark.parametrize("login", ["bob", "Bob"])
def test_a_name_that_a_token_has_or_had_is_not_taken_by_signing_in(
    engine: Engine, login: str
) -> None:
    with write_session(engine) as session:
        request = TokenRequest(name="bob", scope=Scope.SUBMIT, days=1)
        token_id = issue(session, request).status.token_id
    with pytest.raises(NameTaken, match=r"belongs to an access token.*server author " + login):
        sign_in(engine, 1, login)
    with write_session(engine) as session:
        revoke(session, token_id)
    with pytest.raises(NameTaken):
        sign_in(engine, 1, login)


def test_an_author_of_earlier_submissions_is_not_taken_over(
    administrator: TestClient, engine: Engine
) -> None:
    submit(administrator, author="Ada")
    with pytest.raises(NameTaken, match="the author of earlier submissions"):
        sign_in(engine, 1, "ada")


@pytest.mark.parametrize("login", ["project", "Project"])
def test_nobody_is_the_project(engine: Engine, login: str) -> None:
    with pytest.raises(NameTaken, match="the project's own name"):
        sign_in(engine, 1, login)
    with pytest.raises(NameTaken, match="the project's own name"):
        give(engine, login)


@pytest.mark.parametrize("login", ["", "app[bot]", "-ada", "a\n", "a" * 41, "é"])
def test_a_login_that_no_author_may_have_is_refused_and_not_bent(
    engine: Engine, login: str
) -> None:
    with pytest.raises(NameTaken, match="cannot be an author: a name has 1 to 40 letters"):
        sign_in(engine, 1, login)


def test_a_name_that_was_given_goes_to_the_next_account_with_that_login_alone(
    administrator: TestClient, engine: Engine
) -> None:
    submit(administrator, author="Ada")
    give(engine, "Ada")
    assert sign_in(engine, 1, "ada") == "Ada"
    assert sign_in(engine, 1, "ada") == "Ada"
    with pytest.raises(NameTaken):
        sign_in(engine, 2, "ada")


def test_a_name_may_be_given_anew(engine: Engine) -> None:
    sign_in(engine, 1, "ada")
    give(engine, "ada")
    assert sign_in(engine, 2, "ada") == "ada"
    with pytest.raises(NameTaken):
        sign_in(engine, 1, "ada")
