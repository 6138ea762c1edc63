"""Messages of the log applied again by an operator's decision, where history differs from the log.

command  `projector replay`
places   which messages: lines of topic, partition and offset
replay   lower the rank of their rows and merge the messages again, in one transaction
"""
