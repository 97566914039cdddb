"""How much of the photo's faces is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change: paintings that are there were painted without."""
    with op.batch_alter_table("painting") as batch_op:
        batch_op.add_column(
            sa.Column("keep_faces", sa.Double(), nullable=False, server_default="0")
        )


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("painting") as batch_op:
        batch_op.drop_column("keep_faces")
