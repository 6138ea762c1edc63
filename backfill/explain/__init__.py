"""`backfill explain`: one meter.

explain    the command
statement  the meter's invoices and payments in order, and what each did to the balance; pure
"""
