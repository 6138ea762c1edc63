"""The Kafka log: what the broker knows of topics, partitions and offsets, and whether a log is still the same.

broker               one admin client for a consumer; every question to the broker goes through it
topics               names of the four topics; creating those that are missing
topic_configuration  what a topic's configuration has to be, and what differs from it
partitions           ids of topics, first and last offsets of partitions
group                members of the consumer group; refuse to go on while there are any
receive              librdkafka's message as ours
log_reader           a range of a partition, read once from start to end
kafka_errors         which errors end a consumer, and which are waited for
log_identity         what identifies a message beyond its offset
last_record          reads the message applied last again, and compares it
position_check       whether the broker can serve a stored position, and which command recovers if not
continuity           the same check while a consumer runs
"""
