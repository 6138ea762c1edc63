"""Alerts on drift, on a checker that fails, and on coverage that falls behind.

alert     what an alert says, to programs and to people; pure
decide    which alerts what was found calls for, beside what was said before; pure
store     the table `alerts`: what was said of each cause, and whom it reached
channels  where alerts go: apprise's services, Kafka, standard output
alerting  the four in order
"""
