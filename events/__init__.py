"""The contract: event types, decoding, JSON Schema, publishing and simulated traffic. Does no database work."""
