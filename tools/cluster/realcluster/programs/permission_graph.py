"""Gives fixture rows the permission-graph rows that 26.9 expects: ``permission_graph.py DATABASE_URL``.

Rows written by ``mgr fixture populate`` are unknown to the manager's permission graph.  The release ships data
migrations that fill it, which a fresh schema never runs; this runs them over the seeded rows in one transaction,
without touching the schema's revision.  Runs in the release's own environment.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from typing import Any

# The first runs again at the end, for the entities that the others add.
BACKFILLS = (
    "dafe06a6c763_put_every_entity_in_the_graph",
    "c7a3f18d6b04_backfill_resource_policy_shares",
    "c4b1f7e9a2d3_restore_resource_group_relation_edges",
    "f1c47b92e3a6_backfill_public_membership",
    "dafe06a6c763_put_every_entity_in_the_graph",
)
NODES = """
insert into virtual_entities (entity_type, entity_id)
select 'project', id from groups union all select 'user', uuid from users
on conflict do nothing
"""
MEMBERS = """
insert into entity_memberships (virtual_entity_id, member_entity_id, capped)
select project.id, member.id, true
  from association_groups_users a
  join virtual_entities project on project.entity_type = 'project' and project.entity_id = a.group_id
  join virtual_entities member on member.entity_type = 'user' and member.entity_id = a.user_id
on conflict do nothing
"""


def backfill(connection: Any) -> None:
    text = import_module("sqlalchemy").text
    context = import_module("alembic.migration").MigrationContext.configure(connection)
    connection.execute(text(NODES))
    connection.execute(text(MEMBERS))
    with import_module("alembic.operations").Operations.context(context):
        for name in BACKFILLS:
            import_module(f"ai.backend.manager.models.alembic.versions.{name}").upgrade()


async def main(url: str) -> None:
    engine = import_module("sqlalchemy.ext.asyncio").create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(backfill)
    await engine.dispose()


asyncio.run(main(sys.argv[1]))
