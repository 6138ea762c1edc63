"""The continuously running consumers, and the database that they own.

consume       Kafka to tables: poll, decode, reduce to a batch, merge in one transaction
kafka_log     what the broker says of the log: topics, offsets, identity, errors
positions     how far each partition is applied; `projector positions`
dead_letters  messages that are no events, kept until a person decides; `projector dead-letters`
deployment    what this deployment is, written down by `projector init` and compared at every start
database      engines, connections, roles, schema revision, migrations
replay        messages applied once more by a person's decision
status        `projector status`
sandbox       a local PostgreSQL and Kafka without Docker
demo          the whole story on a sandbox
errors        the projector's branches of the tree of known failures
cli           `projector`
"""
