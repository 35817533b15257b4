from server.board.drawing import Step, draw_steps


def step(at: float, loss: float) -> Step:
    return Step(at=at, loss=loss, title=f"{loss}", url="")


def test_nothing_is_drawn_without_steps() -> None:
    assert draw_steps([]) is None


def test_steps_go_right_and_down_between_the_margins() -> None:
    drawing = draw_steps([step(0.0, 2.0), step(5.0, 1.5), step(10.0, 1.0)])
    assert drawing is not None
    assert [(spot.x, spot.y) for spot in drawing.spots] == [(4.0, 4.0), (50.0, 20.0), (96.0, 36.0)]
    assert drawing.path == "M4.0 4.0H50.0V20.0H96.0V36.0"
    assert (drawing.low, drawing.high) == (1.0, 2.0)


def test_the_last_step_holds_up_to_the_end() -> None:
    drawing = draw_steps([step(0.0, 2.0), step(5.0, 1.0)], end=10.0)
    assert drawing is not None
    assert drawing.path == "M4.0 4.0H50.0V36.0H96.0"


def test_one_step_stands_at_its_height() -> None:
    drawing = draw_steps([step(3.0, 2.0)], end=9.0)
    assert drawing is not None
    assert drawing.path == "M4.0 20.0H96.0"
