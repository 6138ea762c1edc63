"""How far each partition is applied: `stored offset` rows, moved in the batch's own transaction.

store  the table `positions`: read, compare-and-set, create
view   `projector positions show`
reset  `projector positions set`: a person's decision, recorded
cli    `projector positions`
"""
