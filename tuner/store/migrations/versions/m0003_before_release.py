"""Where migrations begin: the tables of the versions before the first release.

A new database gets the tables of schema.py, and is at the newest revision at once.

Revision: 0003
"""

revision = "0003"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """There is nothing older."""
