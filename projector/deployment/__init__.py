"""What a deployment is: its currency, time zone, topics and Kafka cluster, recorded by `projector init`.

schema    `projector init`: the schema, the roles, and the deployment's row
identity  the row, and a program's settings compared with it at every start
cluster   the Kafka cluster compared with the row
opening   what a command opens first: database and broker
change    changing the row while no program runs
cli       `projector deployment`
"""
