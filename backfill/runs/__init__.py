"""A run and its chunks.

store       the table `backfill_runs`
phases      which phases a command has, and the transitions between its states
drift       the table `drift`: the findings of runs
rounds      a rebuild compares again whatever was written while it ran
chunks      ranges of keys: claimed, split, finished, collected into the run
locks       advisory locks by name
workers     the processes that carry out a run
check_lock  one drift check at a time
selection   which customers and meters a run is limited to
tally       what a run has counted
session     the connection of a worker, with its scratch tables
stopping    signals, deadlines, and a server that does not answer
"""
