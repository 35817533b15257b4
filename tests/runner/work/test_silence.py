from core.schema.job import Phase
from runner.runs.run_folder import Progress, RunFolder
from runner.work.silence import Silence


def test_a_run_hangs_when_neither_count_nor_metric_has_come_for_the_time(tmp_path):
    folder = RunFolder(tmp_path)
    silence = Silence(folder, 10.0, now=100.0)
    assert not silence.is_too_long(110.0)
    assert silence.is_too_long(110.1)
    folder.write_progress(Progress(phase=Phase.PREPARING_DATA, completed=1, total=2))
    assert not silence.is_too_long(115.0)
    folder.metrics_path.write_text("{}\n")
    assert not silence.is_too_long(124.0)
    assert not silence.is_too_long(134.0)
    assert silence.is_too_long(134.1)
