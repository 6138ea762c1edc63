"""Distributed traces, by OpenTelemetry: an optional extra, imported only where an address for them is set.

delivery     the process's own tracer, and how its spans reach a collector without holding anything up
traceparent  the trace that a message belongs to, from its header; needs no extra
"""
