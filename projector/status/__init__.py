"""`projector status`: schema, lag, dead letters, the last check, alerts."""
