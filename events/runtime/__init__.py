"""What all three programs share.

entry, boundary     a program's start, and the one place where every failure becomes a line and an exit code
errors, defects     the tree of known failures; how an unknown one is reported
settings, env_file  environment variables, and `.env` if nobody else can have written it
client_properties   properties of librdkafka that a deployment may not change
kafka               producers, consumers and admin clients
client_log          librdkafka's log lines as ours, without repetitions
advertised          addresses of brokers that this machine cannot resolve or reach
option_values       durations, points in time, days and shares as people type them
logs, console       structured logs; tables, JSON and sentences on standard output
extras              how to install what only some commands need
completion          completion in bash, zsh and fish
background          a blocking call on a daemon thread
stop, deadline      signals as a request to stop; a time budget
layout, wording     tables, records and wrapped lines; counts with their nouns
help_pages          help as plain text that fits the terminal
moments             points in time as people read them
service_manager     what a process says to systemd
totals              counts that add up
"""
