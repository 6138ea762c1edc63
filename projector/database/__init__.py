"""PostgreSQL as this project uses it.

engines              one engine a process, and the connections that it lends
address              the database's address: read by libpq, shown without secrets
connections          makes and prepares every connection of every program
session_settings     every setting that a session can have: pinned, checked, or the reason why not
poolers              refuses a pooler that shares a session
refused_connections  why a server refused a connection, as its SQLSTATE
failures             PostgreSQL's errors as errors of this project, each in one line
sqlstates            PostgreSQL's error codes by what they mean for a program
bisect               finds the part of a piece of work whose values PostgreSQL refuses
locks                advisory locks by name
statements           named statements read from `.sql` files
revision             the schema's revision, and the one that the code needs
roles                what each role may do
migrations           the schema, step by step (Alembic)
"""
