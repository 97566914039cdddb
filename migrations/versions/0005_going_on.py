"""Paintings that go on from earlier ones, and what their optimizer knew at the end."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    with op.batch_alter_table("painting") as batch_op:
        batch_op.add_column(sa.Column("proof_id", sa.String(length=22), nullable=True))
        batch_op.add_column(sa.Column("proof_px", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("state_id", sa.String(length=32), nullable=True))
        batch_op.add_column(sa.Column("state_bytes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("painting") as batch_op:
        batch_op.drop_column("state_bytes")
        batch_op.drop_column("state_id")
        batch_op.drop_column("proof_px")
        batch_op.drop_column("proof_id")
