import typer
from typer.testing import CliRunner

from benchmarks import verdicts


def test_every_table_is_printed_and_has_its_columns():
    app = typer.Typer()
    app.command()(verdicts.main)
    result = CliRunner().invoke(app, ["--experiments", "100", "--seed", "3"])
    assert result.exit_code == 0, result.output
    tables = [block for block in result.output.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    for table in tables:
        assert len({line.count("|") for line in table.strip().splitlines()}) == 1
    assert [len(table.strip().splitlines()) - 2 for table in tables] == [21, 2, 20, 4, 8]


def test_a_rate_has_its_standard_error():
    flags = verdicts.np.array([True] + [False] * 99)
    # sqrt(0.01 × 0.99 / 100) = 0.00995
    assert verdicts._rate(flags) == "1.00 ± 0.99 %"
