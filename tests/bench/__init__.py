"""The benchmark, `python -m tests.bench`: everything measured in one run on one machine, printed side by side.

    plan        what is measured, how much of it, and what each measurement needs to have been done before
    workload    a throw-away sandbox, simulated events, and the settings the programs run with
    programs    one of our programs as a process: its end, its log, its time and peak memory
    processor   PostgreSQL's processor time
    figures     a figure, the first marks, the ratios between figures
    report      tables for people, one document for programs
    machine     what it ran on

    streaming   the projector on a backlog, and on a backlog of duplicates
    metering    what metrics cost the projector
    copying     the yardstick: COPY of the bare history rows
    auditing    the drift check, and the same as one plain SQL statement
    one_by_one  one transaction an event through the ORM
    latency     from produce to visible balance at a steady rate

No figure is asserted anywhere: ratios within one run are what a busy machine leaves comparable.
"""
