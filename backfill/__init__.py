"""Drift check, rebuild and repair: the auditor, which shares tables with the projector and no merge code."""
