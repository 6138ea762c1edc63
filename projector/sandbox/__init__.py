"""A local PostgreSQL and Apache Kafka without Docker: the same servers as in production, on loopback only.

    extra             what has to be installed, and the refusal where it is not
    folder            where data lives, who may enter it, the lock that lets one command at a time change it
    ports             addresses that outlive a restart
    processes         find, start, stop and kill a server by what its command line says
    wheel             PostgreSQL 18's programs
    postgres          one PostgreSQL
    java, jars        Java 17 or newer, and Apache Kafka's jars by checksum
    class_archive     Java's archive of the broker's classes, for a faster start
    progress          how far a download has come
    kafka             one KRaft node
    sandbox           both together; `throwaway()` for tests and the demo
    cleanup_watchdog  ends a throw-away sandbox when its owner is gone, however it went
    cli               `projector sandbox`

There are no process id files to go stale: a server is ours when its command line names our folder, so every
command can be killed at any step and `up` continues from what it finds.
"""
