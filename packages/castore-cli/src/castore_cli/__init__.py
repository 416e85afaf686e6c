"""The command `castore`: read and maintain event stores from a terminal."""

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    raise SystemExit("castore has no commands yet")
