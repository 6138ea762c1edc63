"""`drift-check --every`: checks at an interval, and alerts.

service  one check after another, until it is stopped
command  the command
"""
