"""Sockets of drivers."""

import os
import socket


def shut_down(descriptor: int) -> None:
    """End a connection that another thread waits for, and leave its socket to that thread."""
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
