"""How far a download has come is told every few seconds, and not with each part."""

from projector.sandbox.progress import EVERY_SECONDS, Downloads


def test_a_line_every_few_seconds_with_megabytes() -> None:
    now, lines = [0.0], list[str]()
    downloads = Downloads(45_000_000, lines.append, lambda: now[0])
    for name in ("a.jar", "b.jar"):
        with downloads.file(name, 10_000_000) as advance:
            for _ in range(10):
                now[0] += EVERY_SECONDS / 4
                advance(1_000_000)
    assert lines == [f"fetched {megabytes} of about 45 MB" for megabytes in (4, 8, 12, 16, 20)]


def test_nothing_is_told_of_a_quick_download() -> None:
    lines = list[str]()
    with Downloads(45_000_000, lines.append, lambda: 0.0).file("a.jar", 9) as advance:
        advance(9)
    assert lines == []
