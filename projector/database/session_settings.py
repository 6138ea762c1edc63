"""PostgreSQL's settings that a session has a say in: each is pinned, is required, or cannot matter, and why.

The server, the database, the role, the environment of the client and the address may all set them, and the correctness
arguments of this project hold under one value only of some. `projector.database.connections` gives every connection the
pinned ones and looks whether it has them and the required ones. A test reads the list of the running server: a setting
that a new version brings is to be decided on here.

Not in the list: `role` and `session_authorization`, which say whose rights a session has and change no meaning.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple


class Pin(NamedTuple):
    """The value of a setting as PostgreSQL shows it, and what would go wrong under another.

    `also` lists values of the deployment's own choice that are left as they are.
    """

    value: str
    why: str
    also: tuple[str, ...] = ()


_PLANS: Final = "every lookup by key could become a scan of the table: hours instead of seconds"
_SPEED: Final = "decides how fast a statement is, and not what it means"
_LOG: Final = "decides what the server logs or counts"

SEARCH_PATH: Final = "search_path"
PINNED: Final[Mapping[str, Pin]] = {
    # what a transaction sees, and how long it may last
    "default_transaction_isolation": Pin(
        "read committed", "a statement begun after a lock would not see what the lock's last holder committed"
    ),
    "default_transaction_read_only": Pin("off", "every write would be refused"),
    "default_transaction_deferrable": Pin("off", "a snapshot could wait for other people's transactions"),
    "statement_timeout": Pin("0", "a large batch or chunk would never be done"),
    "transaction_timeout": Pin("0", "the same"),
    "idle_session_timeout": Pin("0", "a run that gives way to the consumers would lose its locks"),
    "lock_timeout": Pin("1min", "a wait for a lock that nobody gives back, longer than any batch takes, would not end"),
    "idle_in_transaction_session_timeout": Pin("1min", "a paused process would hold its locks for ever"),
    "exit_on_error": Pin("off", "an event that PostgreSQL refuses would end the session, and not stand alone"),
    "synchronous_commit": Pin(
        "on", "what was told as done could be lost with the server", also=("local", "remote_write", "remote_apply")
    ),
    # what a statement means
    SEARCH_PATH: Pin("{schema}", "tables of another schema, or temporary ones, would be read and written"),
    "standard_conforming_strings": Pin("on", "a backslash in a literal would mean another character"),
    "backslash_quote": Pin("safe_encoding", "a literal could end elsewhere"),
    "array_nulls": Pin("on", "NULL in a list of values would be the word NULL"),
    "transform_null_equals": Pin("off", "a comparison with NULL would be true"),
    "row_security": Pin("off", "rows that a policy hides would be missing in silence: off makes that an error"),
    "restrict_nonsystem_relation_kind": Pin(
        "view, foreign-table", "a view in the place of a table would be read, with code of whoever made it"
    ),
    "default_table_access_method": Pin("heap", "staging and backups would be made by an extension's code"),
    "default_tablespace": Pin("", "tables would be made where this server's owner did not put the others"),
    "temp_tablespaces": Pin("", "the same, of staging tables"),
    "createrole_self_grant": Pin("", "`projector init --roles` would make its user a member of the roles"),
    # how values are written and read
    "client_encoding": Pin("UTF8", "names would arrive as other characters"),
    "DateStyle": Pin("ISO, MDY", "dates could not be read, or day and month would be swapped"),
    "IntervalStyle": Pin("postgres", "durations could not be read"),
    "TimeZone": Pin("UTC", "moments would be told by another clock, and days end elsewhere"),
    "timezone_abbreviations": Pin("Default", "a moment that ends in Z could mean another one, or be refused"),
    "extra_float_digits": Pin("1", "shares and times would lose digits"),
    "bytea_output": Pin("hex", "bytes of dead letters would be written in another form"),
    "quote_all_identifiers": Pin("off", "names would be told in quotes"),
    # what the plans of our statements rest on
    "jit": Pin("off", "compiling costs more than it saves in statements of milliseconds"),
    "debug_parallel_query": Pin("off", "every statement would start a process"),
    "client_min_messages": Pin("notice", "the server would send its debugging lines with every statement"),
    "tcp_user_timeout": Pin("0", "the server would give a connection up after an instant"),
    **dict.fromkeys(
        (
            "enable_bitmapscan", "enable_hashagg", "enable_hashjoin", "enable_incremental_sort", "enable_indexonlyscan",
            "enable_indexscan", "enable_material", "enable_memoize", "enable_mergejoin", "enable_nestloop",
            "enable_seqscan", "enable_sort",
        ),
        Pin("on", _PLANS),
    ),
}  # fmt: skip
"""What every connection has, whoever says otherwise."""

REQUIRED: Final[Mapping[str, Pin]] = {
    "session_replication_role": Pin("origin", "foreign keys would not be checked, nor followed by deletes"),
    "zero_damaged_pages": Pin("off", "rows on a damaged page would be missing in silence"),
    "ignore_checksum_failure": Pin("off", "damaged rows would be taken for sound ones"),
}
"""What only a superuser may set: we can only look, and refuse."""

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
    "is of vacuum, of replication or of a whole server, which no statement of ours touches": """
        allow_in_place_tablespaces debug_logical_replication_streaming file_copy_method output_plugin_libraries
        vacuum_buffer_usage_limit vacuum_cost_delay vacuum_cost_limit vacuum_cost_page_dirty vacuum_cost_page_hit
        vacuum_cost_page_miss vacuum_failsafe_age vacuum_freeze_min_age vacuum_freeze_table_age
        vacuum_max_eager_freeze_failure_rate vacuum_multixact_failsafe_age vacuum_multixact_freeze_min_age
        vacuum_multixact_freeze_table_age vacuum_truncate wal_sender_timeout""",
    "is of something that we have none of: XML, text search, GIN, functions, passwords, large objects, money, ICU": """
        check_function_bodies default_text_search_config gin_fuzzy_search_limit gin_pending_list_limit
        icu_validation_level lc_monetary lc_numeric lc_time lo_compat_privileges password_encryption scram_iterations
        xmlbinary xmloption""",
    "is of the one transaction in which it is set; each of ours begins with the defaults above": """
        transaction_deferrable transaction_isolation transaction_read_only""",
    "ends a statement or a connection with an error, after which the whole transaction is done again": """
        client_connection_check_interval deadlock_timeout max_stack_depth temp_file_limit tcp_keepalives_count
        tcp_keepalives_idle tcp_keepalives_interval""",
    "is the server's own trust: it loads or allows only what its owner has installed": """
        allow_system_table_mods dynamic_library_path event_triggers extension_control_path local_preload_libraries
        session_preload_libraries""",
    "decides in which language a message is worded, or how a value is stored, and not what is read": """
        default_toast_compression lc_messages stats_fetch_consistency""",
}

UNPINNED: Final[Mapping[str, str]] = {name: why for why, names in _OTHERS.items() for name in names.split()}
"""Every other setting of PostgreSQL 18 that a session, its role or its database may set, and why it cannot matter."""


def pinned(schema: str) -> dict[str, Pin]:
    """Return the pins of a connection whose tables are in this schema.

    PostgreSQL's own schema is searched first by itself. Temporary objects come last, so that none stands before a
    table.
    """
    path = f"{schema}, pg_temp"
    return {**PINNED, SEARCH_PATH: PINNED[SEARCH_PATH]._replace(value=path)}
