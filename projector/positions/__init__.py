"""How far each partition is applied: the table `positions`, whose rows move in the batch's own transaction.

store  every statement on the table: read, create, move, set
view   `projector positions show`
reset  `projector positions set`: plan and apply
cli    `projector positions`
"""
