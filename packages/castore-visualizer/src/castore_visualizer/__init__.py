"""A web application for event stores: see them, travel in time, and try commands."""

from castore_visualizer._app import create_app
from castore_visualizer._authorization import Authorize
from castore_visualizer._commands import AnyCommand, CommandContext, with_context
from castore_visualizer._log_followers import LogFollower, ParkedGroup
from castore_visualizer._masking import Field, Mask

__all__ = [
    "AnyCommand",
    "Authorize",
    "CommandContext",
    "Field",
    "LogFollower",
    "Mask",
    "ParkedGroup",
    "create_app",
    "with_context",
]
