"""One meter's statement.

statement  entries with a running balance, and what they add up to; pure
sentences  what is said above a statement; pure
explain    reads and prints the statement
"""
