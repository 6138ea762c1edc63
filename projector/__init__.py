"""The continuously running consumer, and the database that it owns.

consume       Kafka to tables: poll, decode, reduce to a batch, merge in one transaction
kafka_log     the log on the broker: topics, offsets, whether it is still the same, errors
positions     how far each partition is applied; `projector positions`
dead_letters  refused messages, kept until an operator decides; `projector dead-letters`
tracing       distributed traces, by OpenTelemetry: an extra
metrics       what is measured, and whether a process is alive: for Prometheus
deployment    what this deployment is, recorded by `projector init` and compared at every start
database      engines, connections, roles, schema revision, migrations
exporter      what PostgreSQL and Kafka know, as metrics; `projector metrics`
replay        messages applied again by an operator's decision; `projector replay`
status        `projector status`
sandbox       a local PostgreSQL and Kafka without Docker
demo          every feature once, on a sandbox of its own; `projector demo`
errors        the projector's branches of the tree of known failures
cli           `projector`
"""
