"""Plain names for columns and tables; their values stay."""

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

PAINTING = {
    "form_token": "idempotency_key",
    "colors": "rendition_names",
    "proof_id": "base_painting_id",
    "proof_px": "base_px",
    "failure": "failure_reason",
    "beat": "heartbeat",
    "checkpoint_id": "checkpoint_attempt_id",
    "resumed_at_progress": "resume_progress",
    "animation_id": "animation_attempt_id",
    "state_id": "optimizer_attempt_id",
    "state_bytes": "optimizer_bytes",
    "interruptions": "crash_count",
}


def upgrade() -> None:
    """Apply the change."""
    rename_columns("painting", PAINTING, unique="form_token")
    rename_columns("rendition", {"is_unfinished": "is_partial"})
    replace_worker_table("worker_sign", "is_gone", "worker_heartbeat", "is_stopped")
    replace_flag_table("site_switch", "site_flag")


def downgrade() -> None:
    """Take it back."""
    replace_flag_table("site_flag", "site_switch")
    replace_worker_table("worker_heartbeat", "is_stopped", "worker_sign", "is_gone")
    rename_columns("rendition", {"is_partial": "is_unfinished"})
    rename_columns("painting", {new: old for old, new in PAINTING.items()}, "idempotency_key")


def rename_columns(table: str, names: Mapping[str, str], unique: str | None = None) -> None:
    """Rename columns; the constraint of a unique one is named after it, too."""
    with op.batch_alter_table(table) as batch_op:
        if unique is not None:
            batch_op.drop_constraint(f"uq_{table}_{unique}", type_="unique")
        for old, new in names.items():
            batch_op.alter_column(old, new_column_name=new)
    if unique is not None:
        with op.batch_alter_table(table) as batch_op:
            batch_op.create_unique_constraint(f"uq_{table}_{names[unique]}", [names[unique]])


def replace_worker_table(old: str, old_flag: str, new: str, new_flag: str) -> None:
    """Move the rows into a table of another name: a renamed table would keep its key's name."""
    table = op.create_table(
        new,
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column(new_flag, sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=f"pk_{new}"),
    )
    move_rows(old, ("name", "started_at", "seen_at", old_flag), table)


def replace_flag_table(old: str, new: str) -> None:
    """Move the rows into a table of another name."""
    table = op.create_table(
        new,
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=f"pk_{new}"),
    )
    move_rows(old, ("name", "since"), table)


def move_rows(old: str, columns: tuple[str, ...], table: sa.Table) -> None:
    """Copy all rows, in the order of the new table's columns, and drop the old table."""
    rows = sa.select(*map(sa.column, columns)).select_from(sa.table(old))
    op.execute(table.insert().from_select(table.columns.keys(), rows))
    op.drop_table(old)
