"""Compares one chunk with history, explains what differs, and repairs it.

drift_types  the columns that are compared, the causes of drift, and the evidence
check        one chunk in one snapshot: compare, explain, keep the findings (chunk_keys.sql)
comparison   recorded against expected, and evidence for what differs (recompute.sql, compare.sql, evidence.sql)
findings     one cause for each column that differs; pure
attribution  which history rows were edited, and of which only the counted amounts; pure
repair       recomputes the rows of a chunk under locks (repair.sql)
verify       compares what was repaired once more
estimate     how long a run still compares
"""
