"""The Kafka log as the projector sees it.

broker               topics, partitions and offsets, asked of the cluster
topic_configuration  what the topics have to be configured as
log_reader           a range of a partition read once, from start to end
receive              one poll; a broker's error as ours
kafka_errors         which errors end a program, which are waited for, and how each is told
log_identity         a digest of each partition's last message, stored with its position
witness              reads that message again
continuity           is the log behind a position still the one that was applied?
"""
