"""`projector metrics`: what PostgreSQL and Kafka know of a deployment, also while nothing else runs.

cli      `projector metrics`, `projector health`
command  the command: once, into a file for the node exporter, or as a service
figures  what one look at both services finds
stored   what PostgreSQL knows (stored.sql)
waiting  how old the messages are that are not applied
"""
