-- The ledger of chunks: which ranges of a run's keys are open, repaired, or done.

-- name: collect_done
-- Take the chunks that are done out of the ledger; what they counted goes into the run's tally.
DELETE FROM backfill_chunks WHERE run_id = %(run_id)s AND state = 'done' RETURNING tally;

-- name: read_done
-- What the chunks that are done have counted, for somebody who only looks.
SELECT tally FROM backfill_chunks WHERE run_id = %(run_id)s AND state = 'done';

-- name: store_tally
-- Keep what was folded, whatever has become of the run; when it was last held stays as it was.
UPDATE backfill_runs SET tally = %(tally)s WHERE run_id = %(run_id)s;

-- name: any_free
-- Whether a chunk waits for somebody: it is not done, and nobody is at it.
SELECT FROM backfill_chunks
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND state <> 'done'
LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: any_left
-- Whether a chunk is not done, whoever is at it.
SELECT FROM backfill_chunks
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND state <> 'done'
LIMIT 1;

-- name: create_chunk
-- Enter the range of keys that follows.
INSERT INTO backfill_chunks (run_id, round, phase, after_key, last_key)
VALUES (%(run_id)s, %(round)s, %(phase)s, %(after)s, %(last)s);

-- name: claim_chunk
-- Hold the next chunk in this state that nobody is at, to the end of the transaction.
SELECT after_key, last_key, tally FROM backfill_chunks
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND state = %(state)s
ORDER BY after_key LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: finish_chunk
-- Write down what became of a held chunk, in the transaction that did it.
UPDATE backfill_chunks SET state = %(state)s, tally = %(tally)s
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND after_key = %(after)s;

-- name: shorten_chunk
-- Let a held chunk end earlier; the rest becomes one of its own.
UPDATE backfill_chunks SET last_key = %(middle)s
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND after_key = %(after)s;

-- name: wait_for_chunk
-- Wait until whoever is at a chunk is done with it, or gone.
SELECT FROM backfill_chunks
WHERE run_id = %(run_id)s AND round = %(round)s AND phase = %(phase)s AND state <> 'done'
LIMIT 1 FOR UPDATE;
