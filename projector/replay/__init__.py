"""Messages of the log applied once more, by a person's decision: the way out where history is not what the log says.

command  `projector replay`
places   which messages: lines of partition and offset
replay   lower the rows to what came before, and merge the messages again, in one transaction
"""
