import logging

from server.log_setup import IdFormatter


def test_a_line_of_the_log_ends_with_the_ids_it_is_about() -> None:
    values = {"msg": "job leased", "levelname": "INFO", "job_id": "j_a", "worker_id": "w_b"}
    record = logging.makeLogRecord(values)
    line = IdFormatter("%(levelname)s %(message)s").format(record)
    assert line == "INFO job leased job_id=j_a worker_id=w_b"
