"""What this deployment is: its currency, time zone, topics and Kafka cluster, written down by `projector init`.

schema    `projector init`: the schema and the topics, created or upgraded
identity  a program's settings against that row, at every program's start
cluster   the Kafka cluster against that row
change    changing the row, while no program runs
cli       `projector deployment`
"""
