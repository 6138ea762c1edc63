"""The contract between producers and the projector, and what every program of this project shares.

    contract      what a message means: types, decoding, refusals, JSON Schema; imports no runtime
    runtime       settings, logs, Kafka clients, output, errors, stopping: shared by all three programs
    simulate      a utility's traffic from a seed, for trials and tests
    json_lines    numbered lines, and which of them are no events
    misspellings  members that look like a misspelled one of the contract
    publish       CloudEvents from JSON lines to Kafka
    cli           `events`

Does no database work.
"""
