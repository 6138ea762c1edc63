"""`backfill verify-log`: history against Kafka.

plan        which offsets of which partitions are read, laid end to end for the chunks
source      reads the log, and asks where it begins and ends
staging     an event as the row that history should have
scan        reads the log chunk by chunk: suspects rows, confirms offsets, notes the winning messages
partitions  suspects the rows that no message confirmed
verdict     what is wrong with a suspected row; pure
settle      compares suspected rows with the winning messages, and keeps the findings
replay      runs `projector replay` as a process
repair      replays what was found, then repairs its meters
verify      the run, from its settings to its exit code; explains why the method is sound
"""
