"""`backfill verify-log`: history against Kafka.

plan        which offsets of which partitions, and how they are laid end to end for the chunks
source      the log as it is read here
staging     an event as the row that it should be
scan        read the log, chunk by chunk: suspect rows, confirm places, find what wins
partitions  which rows no message confirmed
verdict     what is wrong with a suspected row; pure
settle      suspected rows against what wins of the log, kept as findings
replay      the projector's `replay`, run as a process
repair      replay what was found, then repair its meters
verify      the run, from its settings to its exit code; why all of this is sound stands there
"""
