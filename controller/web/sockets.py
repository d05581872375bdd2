"""The listening socket: opened by ourselves, so that a port in use is refused and a chosen one is known."""

import errno
import socket
import sys

if sys.platform != "win32":
    import resource

#: Connections that may wait to be accepted.
BACKLOG = 4096
#: Milliseconds without progress after which the kernel gives up a connection whose peer does not read. Dropping such a
#: client is all that the server can do; without this its connection would stay for as long as the peer likes.
_STUCK_MS = 20_000
#: Descriptors beside the connections: database, log files, the loop's own.
_OTHER_FILES = 256


class CannotListen(Exception):
    """The address cannot be listened on; the message says which, why and what to change."""


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; port 0 lets the system choose. Raises CannotListen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotListen(f"{host} is no address of this machine ({error.strerror}); change the host") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # accepted connections inherit it
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_MS)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise CannotListen(_reason(host, port, error)) from error
    sock.setblocking(False)
    return sock


def allow_connections(wanted: int) -> int:
    """Raise this process's limit of open files for `wanted` connections as far as it may; returns how many fit."""
    if sys.platform == "win32":
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - _OTHER_FILES))


def _reason(host: str, port: int, error: OSError) -> str:
    where = f"{host}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is already in use by another process; end it or choose another port"
    if error.errno == errno.EACCES:
        return f"{where} needs more rights than this process has; choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine; use 127.0.0.1, or 0.0.0.0 for all of its addresses"
    return f"{where} cannot be listened on: {error.strerror}"
