"""Which network connections are allowed: none but loopback, unless the user switched the network on.

Three walls, each for what the one before lets through: environment variables (libraries stay quiet of
their own will), an audit hook in every process of ours (blocks and counts what Python code tries), and a
network namespace of its own for every worker where the system allows it (native code does not pass the
hook). `lathe doctor` reads what was tried. Standard library only: this is the first thing every process
of ours imports.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ATTEMPTS = "network-attempts.jsonl"
MOST_BYTES_OF_ATTEMPTS = 1 << 20
"""The file stops growing here: a library that retries for days must not fill the disk."""

Protection = Literal["namespace", "namespace without loopback", "audit hook"]

QUIET: dict[str, str] = {
    "DEEPEVAL_TELEMETRY_OPT_OUT": "YES",
    "DO_NOT_TRACK": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # hf_xet is native code: it does not pass the audit hook, so downloads go through plain HTTP.
    "HF_HUB_DISABLE_XET": "1",
    "WANDB_MODE": "disabled",
}
OFFLINE: dict[str, str] = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

# What a worker may know of the environment it was started from; keys, tokens and agents stay out.
# fmt: off
_INHERITED = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "COLORTERM", "NO_COLOR",
    "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE",
    "OLLAMA_MODELS", "SYSTEMROOT", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONHASHSEED", "PYTHONOPTIMIZE",
    "PYTHONDONTWRITEBYTECODE", "CUBLAS_WORKSPACE_CONFIG", "SSL_CERT_FILE", "SSL_CERT_DIR",
})
# fmt: on
_INHERITED_FAMILIES = (
    "LC_",
    "XDG_",
    "LATHE_",
    "CUDA_",
    "NVIDIA_",
    "ROCM_",
    "HIP_",
    "HSA_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "GGML_",
)
_PROXIES = frozenset({"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"})
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")


class NetworkBlocked(OSError):
    """A connection that was not allowed. An OSError, so that libraries take it as "no network" and carry
    on.
    """


@dataclass(frozen=True)
class Attempt:
    """One connection that somebody tried: `at` in UTC, `target` as host or host:port."""

    at: str
    pid: int
    program: str
    target: str
    blocked: bool


class _Guard:
    """The state of this process's audit hook; a hook can never be taken out again, so it reads this."""

    installed = False
    allowed = False
    record: Path | None = None
    held: list[Attempt] = []


def install(allowed: bool, root: Path | None = None) -> None:
    """Block and count non-loopback connections of this process from now on; calling again changes the answer.

    Attempts are written to the workspace at `root`, those made before a root is known as soon as it is.
    """
    _Guard.allowed = allowed
    if root is not None:
        _Guard.record = root / ATTEMPTS
        held, _Guard.held = _Guard.held, []
        for attempt in held:
            _write(attempt)
    os.environ.update(QUIET)
    if allowed:
        for name in OFFLINE:
            os.environ.pop(name, None)
    else:
        os.environ.update(OFFLINE)
    if not _Guard.installed:
        _Guard.installed = True
        sys.addaudithook(_hook)


def attempts(root: Path) -> list[Attempt]:
    """Every attempt written down in the workspace, oldest first; an unreadable line is left out."""
    found = []
    try:
        lines = (root / ATTEMPTS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            found.append(Attempt(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def environment(inherited: Mapping[str, str], allowed: bool) -> dict[str, str]:
    """The environment for a process of ours: a list of what may pass, without secrets and without
    telemetry.
    """
    passed = {
        name: value
        for name, value in inherited.items()
        if (name in _INHERITED or name.startswith(_INHERITED_FAMILIES))
        and not any(word in name.upper() for word in _SECRET_WORDS)
    }
    search = [entry for entry in inherited.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(entry)]
    if search:  # relative entries would bring a hostile folder's modules back in, past `python -P`
        passed["PYTHONPATH"] = os.pathsep.join(search)
    if allowed:
        passed |= {name: value for name, value in inherited.items() if name.upper() in _PROXIES}
    return passed | QUIET | ({} if allowed else OFFLINE)


def isolate() -> Protection:
    """Move this process into a network namespace of its own, with nothing but loopback in it.

    Must run before the process starts a thread (user namespaces refuse threaded processes). Unix sockets
    with a path still reach the engine. Where the system does not allow it the audit hook is what
    protects.
    """
    if not sys.platform.startswith("linux"):
        return "audit hook"
    import ctypes

    unshare = ctypes.CDLL(None, use_errno=True).unshare
    new_user, new_network = 0x10000000, 0x40000000
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        # Root keeps its user namespace: in one of its own it could no longer read what belongs to other users.
        if unshare(new_network) != 0:
            return "audit hook"
    elif unshare(new_user | new_network) != 0:
        return "audit hook"
    else:
        # Without the maps every file would seem to belong to "nobody".
        maps = (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1"))
        for file, text in maps:
            try:
                Path("/proc/self", file).write_text(text, encoding="ascii")
            except OSError:
                continue  # a kernel without one of them still gave us the namespace
    return "namespace" if _raise_loopback() else "namespace without loopback"


def _raise_loopback() -> bool:
    import fcntl
    import socket
    import struct

    set_flags, up_and_running = 0x8914, 0x1 | 0x40
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            fcntl.ioctl(probe, set_flags, struct.pack("16sh22x", b"lo", up_and_running))
    except OSError:
        return False
    return True


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not event.startswith("socket."):  # every import and open passes here: stay cheap
        return
    target = _foreign_target(event, arguments)
    if target is None:
        return
    if event == "socket.connect" or not _Guard.allowed:
        blocked = not _Guard.allowed
        attempt = Attempt(
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            os.getpid(),
            sys.argv[0][-80:],
            target,
            blocked,
        )
        if _Guard.record is None:
            _Guard.held.append(attempt)
        else:
            _write(attempt)
    if not _Guard.allowed:
        raise NetworkBlocked(
            101, f"Lathe blocked a connection to {target}: the network is off for this workspace"
        )


def _foreign_target(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Whom this call would talk to outside this machine; None when it stays inside."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not isinstance(address, tuple) or not isinstance(address[0], str):
            return None  # a Unix socket's path, a netlink number, or a datagram to a connected socket
        return None if _is_here(address[0]) else ":".join(str(part) for part in address[:2])
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
        host = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host
        # Reading a literal address sends nothing; the connection to it is judged when it comes.
        return None if host is None or _is_here(str(host)) or _is_literal(str(host)) else str(host)
    return None


def _is_here(host: str) -> bool:
    if host in ("", "localhost", "::1", "0.0.0.0", "::") or host.startswith("127."):  # noqa: S104 - compared
        return _is_literal(host) or host in ("", "localhost")
    if ":" not in host:
        return False
    import ipaddress

    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def _is_literal(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _write(attempt: Attempt) -> None:
    if _Guard.record is None:
        return
    line = json.dumps(attempt.__dict__).encode() + b"\n"
    try:
        file = os.open(_Guard.record, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return  # no workspace folder, or a full disk: the connection is blocked all the same
    try:
        if os.fstat(file).st_size < MOST_BYTES_OF_ATTEMPTS:
            os.write(file, line)
    finally:
        os.close(file)
