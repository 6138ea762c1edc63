-- The table of chunks: which ranges of a run's keys are open, compared, repaired, or done.

-- name: collect_done
-- Delete the chunks that are done; what they counted is added to the run's tally.
DELETE FROM backfill_chunks WHERE run_id = %(run_id)s AND state = 'done' RETURNING tally;

-- name: collect_compared
-- The same of a run that is cancelled, with the chunks that were compared and will not be done: their findings are kept.
-- A chunk that a worker holds is collected when that worker leaves.
DELETE FROM backfill_chunks
WHERE run_id = %(run_id)s AND (round, phase, after_key) IN (
    SELECT round, phase, after_key FROM backfill_chunks WHERE run_id = %(run_id)s AND state <> 'open'
    FOR UPDATE SKIP LOCKED)
RETURNING tally;

-- name: read_compared
-- What the chunks that are compared or done have counted, for a reader.
SELECT tally FROM backfill_chunks WHERE run_id = %(run_id)s AND state <> 'open';

-- name: store_tally
-- Store the tally with what was collected, whatever state the run is in; `updated_at` stays as it is.
UPDATE backfill_runs SET tally = %(tally)s WHERE run_id = %(run_id)s;

-- name: any_free
-- Whether a chunk is free: not done, and locked by no worker.
SELECT FROM backfill_chunks
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND state <> 'done'
LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: any_left
-- Whether a chunk is not done, locked or not.
SELECT FROM backfill_chunks
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND state <> 'done'
LIMIT 1;

-- name: create_chunk
-- Add a range of keys.
INSERT INTO backfill_chunks (run_id, round, phase, after_key, last_key, state)
VALUES (%(run_id)s, %(round)s, %(phase)s, %(after)s, %(last)s, %(state)s);

-- name: claim_chunk
-- Lock the next free chunk in this state up to the end of the transaction.
SELECT after_key, last_key, tally FROM backfill_chunks
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND state = %(state)s
ORDER BY after_key LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: finish_chunk
-- Store the result of a locked chunk, in the transaction that processed it.
UPDATE backfill_chunks SET state = %(state)s, tally = %(tally)s
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND after_key = %(after)s;

-- name: shorten_chunk
-- Let a locked chunk end earlier; the rest becomes a chunk of its own.
UPDATE backfill_chunks SET last_key = %(middle)s
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND after_key = %(after)s;

-- name: wait_for_chunk
-- Wait until the worker of a chunk has finished it, or is gone.
SELECT FROM backfill_chunks
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND state <> 'done'
LIMIT 1 FOR UPDATE;
