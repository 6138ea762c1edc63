"""PostgreSQL as this project uses it.

engines           one engine a process
connections       every connection of every program is made here, with its session settings pinned
session_settings  every setting that a session has a say in: pinned, checked, or why not
own_session       a connection for one piece of work, outside the pool
retry             trying again while a service does not answer
failures          PostgreSQL's errors as errors of ours, in one line each
sqlstates         PostgreSQL's error codes by what they mean for a program
statements        named statements read from `.sql` files
revision          which schema revision the database is at, and which the code needs
roles             what each role may do
migrations        the schema, step by step (Alembic)
"""
