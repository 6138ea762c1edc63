-- What a new connection is asked about its session.

-- name: session
-- Whose it is, which process serves it, and the server's version as a number.
SELECT session_user::pg_catalog.text, pg_catalog.pg_backend_pid(),
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4;

-- name: process
SELECT pg_catalog.pg_backend_pid();
