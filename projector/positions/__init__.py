"""How far each partition is applied: `stored offset` rows, moved in the batch's own transaction.

store  the table `positions`: created, read, and compared with what the broker can serve (positions.sql)
view   `projector positions show`
reset  `projector positions set`: a person's decision, recorded
cli    `projector positions`
"""
