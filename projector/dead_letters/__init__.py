"""Refused messages: listed, retried after a fix, or discarded with a reason; never deleted.

listing    `list` and `show`
selection  which letters a command means
resolve    `retry` and `discard`
cli        `projector dead-letters`
"""
