"""What history says, against what is recorded.

drift_types  the columns that can drift, the causes, and a finding
check        one chunk, in one snapshot (chunk_ends.sql, recompute.sql)
comparison   recorded against expected; the rows that differ, with evidence (compare.sql, evidence.sql)
findings     a cause for each column that differs; pure
attribution  which rows had their history edited, which their marks; pure
repair       the rows of a chunk written anew, under locks (repair.sql)
verify       a repaired chunk compared once more
"""
