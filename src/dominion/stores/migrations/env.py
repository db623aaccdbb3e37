"""What Alembic runs for every command: it uses the connection it is handed and never opens one."""

from alembic import context

from dominion.stores.schema.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
