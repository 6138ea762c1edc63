"""`projector demo`: the commands that a user would type, on a sandbox that is removed at the end.

    run      the sandbox, the steps in order, and an end that leaves nothing behind
    steps    what is typed, what has to hold after it, and the sentence that says so
    live     the steps beside a running consumer
    damage   rows that are changed by hand, and what the drift check then has to say of each
    shell    commands as processes: typed and awaited, in the background, or fed at a steady pace
    figures  what is read from PostgreSQL
    output   sentences, commands and tables for people, or all of it as one JSON document

The three programs are run as processes and known by their output alone: nothing here imports the auditor.
"""
