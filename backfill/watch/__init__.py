"""`drift-check --every` and `--cover-within`: one check after another, with alerts.

service  checks round after round until it is stopped
command  the command, once or as a service
"""
