"""Beats instead of leases, checkpoints, signs of life of workers, and switches of the site."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "site_switch",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_site_switch")),
    )
    op.create_table(
        "worker_sign",
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("seen_at", sa.DateTime(), nullable=False),
        sa.Column("is_gone", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker_sign")),
    )
    with op.batch_alter_table("attempt") as batch_op:
        batch_op.add_column(
            sa.Column("is_resumed", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    # A painting that is running now has a beat that never moves: it is soon taken up again.
    with op.batch_alter_table("painting") as batch_op:
        batch_op.add_column(sa.Column("beat", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("checkpoint_id", sa.String(length=32), nullable=True))
        batch_op.add_column(
            sa.Column("resumed_at_progress", sa.Double(), nullable=False, server_default="0")
        )
        batch_op.drop_column("lease_until")


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("painting") as batch_op:
        batch_op.add_column(sa.Column("lease_until", sa.DateTime(), nullable=True))
        batch_op.drop_column("resumed_at_progress")
        batch_op.drop_column("checkpoint_id")
        batch_op.drop_column("beat")
    with op.batch_alter_table("attempt") as batch_op:
        batch_op.drop_column("is_resumed")
    op.drop_table("worker_sign")
    op.drop_table("site_switch")
