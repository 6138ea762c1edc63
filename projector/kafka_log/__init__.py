"""The Kafka log as the projector sees it.

broker               topics, partitions and offsets, asked of the cluster
topic_configuration  what the topics have to be configured as
log_reader           a range of a partition read once, from start to end
receive              a message of librdkafka as ours
kafka_errors         which errors end a program, which are waited for, and how each is told
log_identity         what identifies a message beyond its offset: topic id, leader epoch, time, digest
witness              reads the message that was applied last again, and compares it
continuity           is the log behind a position still the one that was applied?
"""
