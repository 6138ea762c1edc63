"""Alerts on drift, on a checker that fails, and on coverage that falls behind.

alert     what an alert says, to programs and to people; pure
decide    which alerts to send, given the last alert of each cause; pure
store     the table `alerts`: the last alert of each cause, and the addresses that took it
channels  where alerts go: apprise's services, Kafka, standard output
dead_man  asks for a web address when a check of everything has ended well
alerting  reads what was found, decides, stores, delivers
"""
