"""One run, from its start to its exit code.

runner    a command: settings, connection, run, report, exit code
pool      as many workers as were asked for, until the run ends
worker    a worker's loop: chunk after chunk
progress  the progress bar on a terminal
"""
