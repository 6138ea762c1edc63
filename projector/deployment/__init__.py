"""What this deployment is: its currency, its time zone, its topics and its Kafka cluster, written down by `init`.

`identity` compares a program's settings with that, at every program's start; `cli` shows it and changes it.
"""
