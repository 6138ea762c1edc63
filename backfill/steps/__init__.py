"""The migration steps: each a command of its own, safe beside consumers, and without effect the second time."""
