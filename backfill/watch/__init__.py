"""`drift-check --every` and `--cover-within`: one check after another, with alerts.

service          checks round after round until it is stopped
checker_metrics  what a service counts about itself, and whether it is alive and ready
command          the command, once or as a service
"""
