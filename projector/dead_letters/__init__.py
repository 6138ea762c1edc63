"""What an operator does with refused messages: list, retry after a fix, discard with a reason; none is ever deleted.

A consumer stores them: see `projector.consume.dead_letters`.

listing    `list` and `show`
selection  which dead letters a command applies to, in chunks
resolve    `retry` and `discard`
cli        `projector dead-letters`
"""
