"""Run by Alembic, on the connection and in the transaction of stageline.catalogue.migrate."""

from alembic import context

from stageline.catalogue.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
