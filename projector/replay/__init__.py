"""Messages of the log, applied once more by a person's decision: the way out where history is not what the log says."""
