import logging

from server.log_setup import CodeFilter, IdFormatter


def test_a_line_of_the_log_ends_with_the_ids_it_is_about() -> None:
    values = {"msg": "job leased", "levelname": "INFO", "job_id": "j_a", "worker_id": "w_b"}
    record = logging.makeLogRecord(values)
    line = IdFormatter("%(levelname)s %(message)s").format(record)
    assert line == "INFO job leased job_id=j_a worker_id=w_b"


def test_the_code_that_comes_back_from_github_is_not_logged() -> None:
    def line(address: str) -> str:
        args = ("127.0.0.1:9", "GET", address, "1.1", 303)
        values = {"msg": '%s - "%s %s HTTP/%s" %d', "args": args, "name": "uvicorn.access"}
        record = logging.makeLogRecord(values)
        assert CodeFilter().filter(record)
        return record.getMessage()

    back = line("/sign-in/callback?code=secret&state=other")
    assert back == '127.0.0.1:9 - "GET /sign-in/callback?... HTTP/1.1" 303'
    assert line("/compare?a=s_x") == '127.0.0.1:9 - "GET /compare?a=s_x HTTP/1.1" 303'
