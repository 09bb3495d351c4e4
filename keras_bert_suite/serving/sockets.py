"""Ports and open files of a server, as the operating system gives them."""

import contextlib
import errno
import socket

__all__ = ["in_use", "listening_sockets", "raise_file_limit"]

#: Milliseconds after which the kernel gives up a client that takes in nothing of its answer.
UNREAD_MS = 60_000


def listening_sockets(host, port):
    """Return sockets bound to a port, 0 for a free one, on every address of a host.

    Raises:
        ValueError: if the host has no address.
        OSError: if the port is in use.
    """
    sockets = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            found = socket.socket(family, kind, protocol)
            sockets.append(found)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_MS)
            port = port or (sockets[0].getsockname()[1] if len(sockets) > 1 else 0)
            found.bind((address[0], port, *address[2:]))
    except socket.gaierror as error:
        raise ValueError(f"--host must be an address of this machine. Received: {host} ({error.strerror}).") from error
    except OSError as error:
        for found in sockets:
            found.close()
        raise in_use(host, port, "--port") from error
    return sockets


def in_use(host, port, option):
    """Return the error for a port that cannot be had."""
    return OSError(
        errno.EADDRINUSE, f"cannot listen on {host}:{port}: it is in use or not this machine's. Choose another {option}"
    )


def raise_file_limit():
    """Allow as many connections as the system lets a process have."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
