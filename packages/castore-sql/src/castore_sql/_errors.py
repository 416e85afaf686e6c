"""Errors between the modules of this package."""


class LostConnectionError(Exception):
    """The connection broke while it was at work: what it wrote may be stored."""


class OutOfTimeError(Exception):
    """Work had taken all of its time, and was ended.

    Args:
        has_begun: it had a connection. If not, nothing was written.
        has_stopped: the server has stopped. A write that is not stored by now never will be.
    """

    def __init__(self, *, has_begun: bool, has_stopped: bool) -> None:
        self.has_begun = has_begun
        self.has_stopped = has_stopped
        super().__init__("the database did not finish in time")
