"""The memory that an attempt took."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    with op.batch_alter_table("attempt") as batch_op:
        batch_op.add_column(sa.Column("peak_bytes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("attempt") as batch_op:
        batch_op.drop_column("peak_bytes")
