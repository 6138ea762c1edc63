"""Run inside the connection that `projector.deployment.schema.upgrade` hands over; there is no offline mode."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table_schema=context.config.attributes["schema"],
)
with context.begin_transaction():
    context.run_migrations()
