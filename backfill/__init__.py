"""Drift check, rebuild and repair: the auditor, which shares tables with the projector and no merge code.

runs        a run and its chunks, kept in tables, shared by any number of workers
audit       compares one chunk with history, explains what differs, repairs it
throttle    limits how fast a run goes, so that consumers come first
execution   one run from its start to its exit code, with its workers
reports     what a run found, for people and for programs
verify_log  history against Kafka
migration   the steps that bring an existing database's figures into shape, with a backup
explain     one meter's statement, and one customer's meters
watch       `drift-check --every`
alerts      notifications about drift, and about a checker that fails
cli         `backfill`
runs_command  `backfill runs`
options     the options of a run
request     the run that they ask for
exit_codes  what a command ends with
"""
