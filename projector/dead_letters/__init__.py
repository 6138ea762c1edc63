"""Refused messages: looked at, tried again after a fix, or given up with a reason; never deleted."""
