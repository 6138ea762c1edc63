"""A utility's traffic from a seed, for trials and tests.

options  what the utility looks like, and how its events reach the topics
utility  its months: who has which meter, what is billed, what is paid
render   an event as JSON, written by hand for speed
poison   broken events, each of which the contract refuses
traffic  all of it in the order in which it is sent, with duplicates, late events and poison
pacing   so many of them a second
"""
