"""The history of a git repository as events: imported, asked, and verified against git."""
