"""From a message to committed balances.

run               checks, then consumers one after another until the end
consumer          the loop: poll, decode, apply, commit offsets, observe
group_membership  joining, losing and rejoining the consumer group
start_positions   where each assigned partition begins, from the stored positions
buffer            messages polled and not yet in a batch
batch, rows       a batch reduced to one row an entity; rows as COPY writes them
writer            a thread with one connection: applies batches, retries, bisects a batch that is refused
refusals          whether an error of PostgreSQL lies in an event of the batch
merge             one batch in one transaction: the invariants and the lock order (merge.sql, staging.sql)
applied           what was applied, in events
conflicts         which events have the version of another and other content: counted and named
clock_schedule    when a consumer looks whether an assignment is due
clock             moves the stored clock, as of which assignments are in effect, when one begins or ends (clock.sql)
consumer_metrics  what a consumer counts about itself, and whether it is alive and ready
observer          who is told of each batch, and how long its stages took
spans             one span of a trace for each transaction: needs the extra `tracing`
dead_letters      refused messages, stored in the batch's transaction
circuit_breaker   stops a consumer if too many messages are refused
stop_reasons      why a consumer ended by itself, in the database until one works (stop_reasons.sql)
progress          how far its partitions are applied, beside how far their logs reach
retry             repeats an action while a service is temporarily unavailable
"""
