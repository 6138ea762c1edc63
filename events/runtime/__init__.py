"""What all three programs share, whatever they do.

entry, boundary     a program's start, and its one end: the line and the exit code for every failure
errors, defects     the tree of known failures; what is kept of an unknown one
settings, env_file  environment variables, and `.env` where nobody else can have written it
client_properties   properties of librdkafka that a deployment may not change
kafka               producers, consumers and admin clients, made one way
logs, console       structured logs; tables, JSON and sentences for the terminal
stop, deadline      a signal as a wish to stop; how long something may still take
"""
