"""The method by which a painting is drawn toward its style."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change: paintings that are there were painted by statistics."""
    with op.batch_alter_table("painting") as batch_op:
        batch_op.add_column(
            sa.Column("method", sa.String(32), nullable=False, server_default="statistics")
        )


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("painting") as batch_op:
        batch_op.drop_column("method")
