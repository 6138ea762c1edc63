"""The steps that bring the figures of an existing database into shape, with a backup.

step, run_step, connection           what a step is, how one runs, and on which connection
invoice_amounts, payment_meter_ids,
balances                             the steps
migrate                              all steps in order, with a backup and a validation
backup                               the balances as they were; `restore`
checks, validate                     what must hold of the data; `validate`
output                               what a step prints
cli                                  the commands
"""
