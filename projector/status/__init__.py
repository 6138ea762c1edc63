"""`projector status`.

command     the command: asks both services, prints, and decides on the exit code
limits      whether the group is further behind than --max-lag and --max-age allow
status      what is applied, what was refused, when the figures were last compared
checker     whether what compares balances all the time is at work, quiet or gone
trust       how far the figures of one meter or customer can be trusted
text        how it is printed for people
kafka_view  what Kafka says of the group, within a time limit
"""
