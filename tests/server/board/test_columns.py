from server.board.columns import BoardColumn, BoardPageQuery, column_heads

PATH = "/tracks/debug"
TASKS = ("arc_easy", "hellaswag")


def test_an_address_says_only_what_differs_from_the_default() -> None:
    assert BoardPageQuery().address(PATH) == PATH
    query = BoardPageQuery(q="a&b", column=(BoardColumn.LOSS, BoardColumn.COST), page=3)
    assert query.address(PATH, page=4) == f"{PATH}?q=a%26b&page=4&column=loss&column=cost"
    assert query.address(PATH, page=1, column=()) == f"{PATH}?q=a%26b"


def test_all_boxes_checked_are_none_chosen() -> None:
    every = BoardPageQuery.model_validate({"column": list(BoardColumn)})
    assert every.address(PATH) == PATH


def test_each_task_has_a_column_of_its_own() -> None:
    heads = column_heads(BoardPageQuery(), PATH, TASKS)
    assert [head.task for head in heads if head.column is BoardColumn.TASKS] == list(TASKS)
    chosen = column_heads(BoardPageQuery(column=(BoardColumn.LOSS,)), PATH, TASKS)
    assert [head.column for head in chosen] == [BoardColumn.LOSS]


def test_a_head_sorts_by_its_column_and_turns_the_order_around_the_second_time() -> None:
    query = BoardPageQuery(sort="cost", page=7)
    heads = {head.column: head for head in column_heads(query, PATH, ())}
    assert heads[BoardColumn.COST].url == f"{PATH}?sort=cost&order=worst"
    assert heads[BoardColumn.COST].aria_sort == "ascending"
    assert heads[BoardColumn.SEEDS].url == f"{PATH}?sort=seeds"
    assert heads[BoardColumn.SEEDS].aria_sort == ""
    assert heads[BoardColumn.VERDICT].url == ""


def test_a_column_that_is_largest_first_says_so() -> None:
    heads = column_heads(BoardPageQuery(sort="accuracy"), PATH, ())
    [marked] = [head for head in heads if head.aria_sort]
    assert (marked.column, marked.aria_sort) == (BoardColumn.ACCURACY, "descending")


def test_of_three_columns_that_go_by_the_loss_the_loss_is_marked() -> None:
    marked = [head.column for head in column_heads(BoardPageQuery(), PATH, ()) if head.aria_sort]
    assert marked == [BoardColumn.LOSS]
