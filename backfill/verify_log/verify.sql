-- The end of a run.

-- name: delete_work
-- A run that has ended needs neither; its findings stay.
WITH blocks AS (DELETE FROM log_blocks WHERE run_id = %(run_id)s)
DELETE FROM log_suspects WHERE run_id = %(run_id)s;
