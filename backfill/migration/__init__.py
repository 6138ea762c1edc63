"""The steps that bring the figures of an existing database into shape.

step, run_step, connection           what a step is, how one runs, and on which connection
invoice_amounts, payment_meter_ids,
balances                             the steps
migrate                              all of them in order, with a backup before the balances and a validation after
backup                               the tables as they were; `restore`
checks, validate                     what has to hold of the data; `validate`
output                               what is shown
cli                                  the commands
"""
