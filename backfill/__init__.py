"""Drift check, rebuild and repair: the auditor, which shares tables with the projector and no merge code.

runs        a run and its chunks, kept in tables, shared by any number of workers
audit       history added up, compared with what is recorded, explained, repaired
throttle    how fast a run may go, beside consumers
execution   a run from its start to its end, with its workers
reports     what was found, for people and for programs
verify_log  history against Kafka
migration   the steps that bring an existing database's figures into shape, with backups
explain     one meter's statement
watch       `drift-check --every`
alerts      what is told of drift, to whom, and what was told before
cli         `backfill`
runs_command                     `backfill runs`
options, option_values, request  what is typed, as it is read, and the run that it asks for
"""
