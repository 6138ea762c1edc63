"""A run, its chunks and its findings, as tables keep them.

store       the table `backfill_runs`
phases      the phases of each command, and the transitions between a run's states
drift       the table `drift`: the findings of runs
rounds      a rebuild compares again whatever was written while it ran
chunks      ranges of keys: claimed, split, finished, collected into the run
workers     the processes that carry out a run
check_lock  one drift check at a time
in_effect   whether an assignment is in effect, and whose a meter is, for every statement that asks
selection   which customers and meters a run is limited to
tally       what a run has counted
session     the auditor's connections, with their scratch tables
stopping    signals, the time that they leave, and a server that does not answer
"""
