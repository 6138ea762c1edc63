"""Limits how fast a run goes, so that consumers come first.

pace      the size of chunks, and the pauses between them
governor  the duty cycle of a run falls while consumers are overloaded
"""
