"""`projector status`.

command     the command: asks both services, prints, and decides on the exit code
limits      whether the group is further behind than --max-lag and --max-age allow
status      what is applied, what was refused, when the figures were last compared, and how it is printed
kafka_view  what Kafka says of the group, within a time limit
"""
