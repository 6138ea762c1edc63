"""Positions, looked at and moved by a person's decision: the way out where the broker cannot serve a stored one."""
