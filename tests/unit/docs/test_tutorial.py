"""The tutorial's page is read, and written, step by step."""

from tests.docs.tutorial import Step, comparable, steps, written

PAGE = """# Page

```sh
projector sandbox up
```

```console
$ first
1 row (0.3 s, 20 rows/s)
$ second
```

Between.

```console
$ third
old
```
"""


def test_a_step_is_a_command_and_what_it_prints() -> None:
    assert steps(PAGE) == [Step("first", "1 row (0.3 s, 20 rows/s)\n"), Step("second", ""), Step("third", "old\n")]


def test_times_and_widths_do_not_count() -> None:
    assert comparable("1 row (0.3 s, 20 rows/s)\n┃ a   ┃\n┡━━━━━┩") == comparable(
        "1 row (12.0 s, 1,000 rows/s)\n┃ a ┃\n┡━━━┩"
    )
    assert comparable("1 row") != comparable("2 rows")


def test_only_what_differs_is_written() -> None:
    printed = ["1 row (9.9 s, 1 rows/s)\n", "", "new\n"]
    assert written(PAGE, printed) == PAGE.replace("old", "new")
