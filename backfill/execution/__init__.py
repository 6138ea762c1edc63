"""A run from its start to its end.

runner    a command: settings, connection, run, exit code
pool      as many workers as were asked for, and what ends them
worker    chunk after chunk
progress  what is shown meanwhile
"""
