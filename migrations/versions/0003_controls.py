"""Brush size, smoothness, start, weights of styles, and the animation."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change: paintings that are there were painted with these values."""
    with op.batch_alter_table("painting") as batch_op:
        batch_op.add_column(
            sa.Column("brush_size", sa.Double(), nullable=False, server_default="1")
        )
        batch_op.add_column(
            sa.Column("smoothness", sa.Double(), nullable=False, server_default="0.5")
        )
        batch_op.add_column(
            sa.Column("start", sa.String(length=16), nullable=False, server_default="recolored")
        )
        batch_op.add_column(sa.Column("animation_id", sa.String(length=32), nullable=True))
    with op.batch_alter_table("painting_style") as batch_op:
        batch_op.add_column(sa.Column("weight", sa.Double(), nullable=False, server_default="1"))


def downgrade() -> None:
    """Take it back."""
    with op.batch_alter_table("painting_style") as batch_op:
        batch_op.drop_column("weight")
    with op.batch_alter_table("painting") as batch_op:
        batch_op.drop_column("animation_id")
        batch_op.drop_column("start")
        batch_op.drop_column("smoothness")
        batch_op.drop_column("brush_size")
