"""Alembic migrations of the `billing` schema.

env       runs them inside a connection that `projector init` hands over
versions  one file a revision
"""
