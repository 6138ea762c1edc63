"""Every setting of PostgreSQL that a session can have: pinned, required, or without effect on correctness, and why.

The server, the database, the role, the client's environment and the address may all set them, and for some of them the
code is correct under one value only. `projector.database.connections` sets the pinned ones on every connection, and
checks both these and the required ones. A test reads the list of the running server, so that each setting of a new
version has to be classified here.

Not listed: `role` and `session_authorization`, which decide whose rights a session has and change no meaning.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Pin(NamedTuple):
    """The value of a setting as PostgreSQL shows it, and what would happen under another value.

    `also` lists values that the deployment may choose instead.
    """

    value: str
    why: str
    also: tuple[str, ...] = ()


_PLANS: Final = "every lookup by key could become a scan of the table: hours instead of seconds"
_SPEED: Final = "decides how fast a statement is, not what it means"
_LOG: Final = "decides what the server logs or counts"

SEARCH_PATH: Final = "search_path"
PINNED: Final[Mapping[str, Pin]] = {
    # what a transaction sees, and how long it may last
    "default_transaction_isolation": Pin(
        "read committed", "a statement that starts after a lock would not see what the lock's last holder committed"
    ),
    "default_transaction_read_only": Pin("off", "every write would be refused"),
    "default_transaction_deferrable": Pin("off", "a snapshot could wait for other transactions"),
    "statement_timeout": Pin("0", "a large batch or chunk would never complete"),
    "transaction_timeout": Pin("0", "the same"),
    "idle_session_timeout": Pin("0", "a throttled run would lose its locks"),
    "lock_timeout": Pin("1min", "a wait for a lock that is never released would not end"),
    "idle_in_transaction_session_timeout": Pin("1min", "a paused process would hold its locks forever"),
    "exit_on_error": Pin("off", "an event that PostgreSQL refuses would end the session"),
    "synchronous_commit": Pin(
        "on", "what was reported as committed could be lost", also=("local", "remote_write", "remote_apply")
    ),
    # what a statement means
    SEARCH_PATH: Pin("{schema}", "tables of another schema, or temporary ones, would be read and written"),
    "standard_conforming_strings": Pin("on", "a backslash in a literal would mean another character"),
    "backslash_quote": Pin("safe_encoding", "a literal could end at another place"),
    "array_nulls": Pin("on", "NULL in a list of values would be the word NULL"),
    "transform_null_equals": Pin("off", "a comparison with NULL would be true"),
    "row_security": Pin("off", "rows that a policy hides would be missing silently; off makes that an error"),
    "restrict_nonsystem_relation_kind": Pin(
        "view, foreign-table", "a view in place of a table would be read, and run the code of its owner"
    ),
    "default_table_access_method": Pin("heap", "staging tables and backups would use an extension's code"),
    "default_tablespace": Pin("", "tables would be created in another tablespace than the rest"),
    "temp_tablespaces": Pin("", "the same, for staging tables"),
    "createrole_self_grant": Pin("", "`projector init --roles` would make its user a member of the roles"),
    # how values are written and read
    "client_encoding": Pin("UTF8", "names would arrive as other characters"),
    "DateStyle": Pin("ISO, MDY", "dates could not be read, or day and month would be swapped"),
    "IntervalStyle": Pin("postgres", "durations could not be read"),
    "TimeZone": Pin("UTC", "times would be in another time zone, and days would end at another time"),
    "timezone_abbreviations": Pin("Default", "a time that ends in Z could mean another one, or be refused"),
    "extra_float_digits": Pin("1", "floating-point numbers would lose digits"),
    "bytea_output": Pin("hex", "bytes of dead letters would be written in another format"),
    "quote_all_identifiers": Pin("off", "names would be quoted in messages"),
    # what the plans of our statements depend on
    "jit": Pin("off", "compiling costs more than it saves in statements of milliseconds"),
    "debug_parallel_query": Pin("off", "every statement would start a process"),
    "client_min_messages": Pin("notice", "the server would send its debugging lines with every statement"),
    "tcp_user_timeout": Pin("0", "the server would close connections after an instant"),
    **dict.fromkeys(
        (
            "enable_bitmapscan", "enable_hashagg", "enable_hashjoin", "enable_incremental_sort", "enable_indexonlyscan",
            "enable_indexscan", "enable_material", "enable_memoize", "enable_mergejoin", "enable_nestloop",
            "enable_seqscan", "enable_sort",
        ),
        Pin("on", _PLANS),
    ),
}  # fmt: skip
"""The settings of every connection, whatever else sets them."""

REQUIRED: Final[Mapping[str, Pin]] = {
    "session_replication_role": Pin("origin", "foreign keys would not be checked, nor followed by deletes"),
    "zero_damaged_pages": Pin("off", "rows on a damaged page would be missing silently"),
    "ignore_checksum_failure": Pin("off", "damaged rows would count as intact"),
}
"""Settings that only a superuser may change; they are checked, and another value is refused."""

_OTHERS: Final[Mapping[str, str]] = {
    _SPEED: """
        backend_flush_after commit_delay commit_siblings compute_query_id constraint_exclusion cpu_index_tuple_cost
        cpu_operator_cost cpu_tuple_cost cursor_tuple_fraction debug_discard_caches default_statistics_target
        effective_cache_size effective_io_concurrency enable_async_append enable_distinct_reordering enable_gathermerge
        enable_group_by_reordering enable_parallel_append enable_parallel_hash enable_partition_pruning
        enable_partitionwise_aggregate enable_partitionwise_join enable_presorted_aggregate
        enable_self_join_elimination enable_tidscan from_collapse_limit geqo geqo_effort geqo_generations geqo_pool_size
        geqo_seed geqo_selection_bias geqo_threshold hash_mem_multiplier ignore_system_indexes io_combine_limit
        jit_above_cost jit_debugging_support jit_dump_bitcode jit_expressions jit_inline_above_cost
        jit_optimize_above_cost jit_profiling_support jit_tuple_deforming join_collapse_limit logical_decoding_work_mem
        maintenance_io_concurrency maintenance_work_mem max_parallel_maintenance_workers max_parallel_workers
        max_parallel_workers_per_gather min_parallel_index_scan_size min_parallel_table_scan_size
        parallel_leader_participation parallel_setup_cost parallel_tuple_cost plan_cache_mode post_auth_delay
        random_page_cost recursive_worktable_factor seq_page_cost synchronize_seqscans temp_buffers wal_compression
        wal_init_zero wal_recycle wal_skip_threshold work_mem""",
    _LOG: """
        application_name backtrace_functions debug_pretty_print debug_print_parse debug_print_plan debug_print_rewritten
        escape_string_warning log_connections log_disconnections log_duration log_error_verbosity log_executor_stats
        log_lock_failures log_lock_waits log_min_duration_sample log_min_duration_statement log_min_error_statement
        log_min_messages log_parameter_max_length log_parameter_max_length_on_error log_parser_stats log_planner_stats
        log_replication_commands log_statement log_statement_sample_rate log_statement_stats log_temp_files
        log_transaction_sample_rate md5_password_warnings trace_notify trace_sort track_activities
        track_cost_delay_timing track_counts track_functions track_io_timing track_wal_io_timing update_process_title
        wal_consistency_checking""",
    "concerns vacuum, replication or the whole server, which none of our statements uses": """
        allow_in_place_tablespaces debug_logical_replication_streaming file_copy_method output_plugin_libraries
        vacuum_buffer_usage_limit vacuum_cost_delay vacuum_cost_limit vacuum_cost_page_dirty vacuum_cost_page_hit
        vacuum_cost_page_miss vacuum_failsafe_age vacuum_freeze_min_age vacuum_freeze_table_age
        vacuum_max_eager_freeze_failure_rate vacuum_multixact_failsafe_age vacuum_multixact_freeze_min_age
        vacuum_multixact_freeze_table_age vacuum_truncate wal_sender_timeout""",
    "concerns what we do not use: XML, text search, GIN, functions, passwords, large objects, money, ICU": """
        check_function_bodies default_text_search_config gin_fuzzy_search_limit gin_pending_list_limit
        icu_validation_level lc_monetary lc_numeric lc_time lo_compat_privileges password_encryption scram_iterations
        xmlbinary xmloption""",
    "applies to the transaction in which it is set; each of ours starts with the defaults above": """
        transaction_deferrable transaction_isolation transaction_read_only""",
    "ends a statement or a connection with an error, after which the whole transaction is repeated": """
        client_connection_check_interval deadlock_timeout max_stack_depth temp_file_limit tcp_keepalives_count
        tcp_keepalives_idle tcp_keepalives_interval""",
    "loads or allows only what the server's owner has installed": """
        allow_system_table_mods dynamic_library_path event_triggers extension_control_path local_preload_libraries
        session_preload_libraries""",
    "decides the language of messages, or how a value is stored, not what is read": """
        default_toast_compression lc_messages stats_fetch_consistency""",
}

UNPINNED: Final[Mapping[str, str]] = {name: why for why, names in _OTHERS.items() for name in names.split()}
"""Every other setting of PostgreSQL 18 that a session, role or database may set, and why it changes no result."""


def pinned(schema: str) -> dict[str, Pin]:
    """Return the pins of a connection whose tables are in this schema.

    PostgreSQL searches its own schema first by itself. Temporary objects come last, so that none hides a table.
    """
    path = f"{schema}, pg_temp"
    return {**PINNED, SEARCH_PATH: PINNED[SEARCH_PATH]._replace(value=path)}
