"""One meter's statement, and one customer's meters.

statement  entries with a running balance, and what they add up to; pure
sentences  what is said above a statement; pure
explain    reads and prints the statement
customer   reads and prints a customer's sums and the rows of the customer's meters
"""
