"""What is measured of a running deployment, for Prometheus, and whether a process is alive.

catalogue   every metric that exists: name, kind, labels, what it says
families    the values of one scrape, which have to be in the catalogue
histogram   observations counted by bounds, many at a time
endpoint    the page of metrics and the two probes over HTTP
probes      alive and ready, and the facts behind each answer
health      `projector health`, which asks a probe
heartbeat   when a loop last came round
broker_watch  how far the logs reach and how long they are kept, asked on a thread
"""
