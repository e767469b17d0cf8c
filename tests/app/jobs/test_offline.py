"""The walls against the network, tried in processes of their own: an audit hook stays for good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.jobs import offline

ATTEMPTS = """
import json, socket, sys
from pathlib import Path
from app.jobs import offline
root = Path(sys.argv[1])
offline.install(sys.argv[2] == "on")
def tried(what):
    try:
        what()
    except offline.NetworkBlocked:
        return "blocked"
    except OSError:
        return "failed"
    return "went"
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(0.2)
        s.connect(address)
def datagram(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", address)
here = socket.create_server(("127.0.0.1", 0))
result = {
    "address": tried(lambda: connect(socket.AF_INET, ("192.0.2.1", 80))),
    "six": tried(lambda: connect(socket.AF_INET6, ("2001:db8::1", 80))),
    "name": tried(lambda: socket.getaddrinfo("example.invalid", 80)),
    "bytes": tried(lambda: socket.getaddrinfo(b"example.invalid", 80)),
    "old": tried(lambda: socket.gethostbyname("example.invalid")),
    "datagram": tried(lambda: datagram(("192.0.2.1", 53))),
    "loopback": tried(lambda: connect(socket.AF_INET, here.getsockname())),
    "localhost": tried(lambda: socket.getaddrinfo("localhost", 80)),
    "mapped": tried(lambda: connect(socket.AF_INET6, ("::ffff:192.0.2.1", 80))),
    "unix": tried(lambda: connect(socket.AF_UNIX, str(root / "none.sock"))),
}
offline.install(sys.argv[2] == "on", root)
print(json.dumps(result))
"""


def attempt(root: Path, network: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", ATTEMPTS, str(root), network], capture_output=True, text=True, check=True
    )
    result: dict[str, str] = json.loads(done.stdout)
    return result


def test_nothing_but_loopback_and_unix_sockets_passes_and_every_attempt_is_counted(tmp_path: Path) -> None:
    result = attempt(tmp_path, "off")
    blocked = {name for name, outcome in result.items() if outcome == "blocked"}
    assert blocked == {"address", "six", "name", "bytes", "old", "datagram", "mapped"}
    assert result["loopback"] == "went" and result["localhost"] == "went" and result["unix"] == "failed"
    seen = offline.attempts(tmp_path)
    assert len(seen) == len(blocked) and all(one.blocked for one in seen)
    assert {"192.0.2.1:80", "example.invalid"} <= {one.target for one in seen}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="network namespaces are Linux")
def test_with_the_network_on_connections_are_let_through_and_written_down(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from app.jobs import offline\n"
        "print(offline.isolate()); sys.stdout.flush()\n" + ATTEMPTS
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, str(tmp_path), "on"], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert "blocked" not in result.values()
    assert "192.0.2.1:80" in {one.target for one in offline.attempts(tmp_path)}
    assert not any(one.blocked for one in offline.attempts(tmp_path))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="network namespaces are Linux")
def test_a_namespace_has_loopback_and_nothing_else() -> None:
    script = (
        "import os, socket; from app.jobs import offline\n"
        "kind = offline.isolate()\n"
        "server = socket.create_server(('127.0.0.1', 0)) if kind == 'namespace' else None\n"
        "if server: socket.create_connection(server.getsockname())\n"
        "print(kind, open('/proc/net/dev').read().count(':'),"
        " os.getuid())\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    kind, _, rest = done.stdout.partition(" ")
    if kind != "namespace":
        pytest.skip(f"this system gives no network namespace ({done.stdout.strip()})")
    assert rest.split() == ["1", str(os.getuid())]


def test_secrets_and_relative_paths_do_not_reach_a_worker() -> None:
    inherited = {
        "PATH": "/bin",
        "HOME": "/home/ada",
        "OPENAI_API_KEY": "sk-1",
        "HF_TOKEN": "hf_1",
        "NVIDIA_API_KEY": "nv-1",
        "SSH_AUTH_SOCK": "/tmp/agent",
        "CUDA_VISIBLE_DEVICES": "0",
        "HTTPS_PROXY": "http://user:pw@proxy",
        "PYTHONPATH": f".{os.pathsep}{os.pathsep}/opt/own",
    }
    offline_one = offline.environment(inherited, allowed=False)
    assert {"PATH", "HOME", "CUDA_VISIBLE_DEVICES"} <= set(offline_one)
    assert not {"OPENAI_API_KEY", "HF_TOKEN", "NVIDIA_API_KEY", "SSH_AUTH_SOCK", "HTTPS_PROXY"} & set(
        offline_one
    )
    assert offline_one["PYTHONPATH"] == "/opt/own"
    assert offline_one["HF_HUB_OFFLINE"] == offline_one["HF_HUB_DISABLE_XET"] == "1"
    assert offline_one["DEEPEVAL_TELEMETRY_OPT_OUT"] == "YES"
    online = offline.environment(inherited, allowed=True)
    assert "HF_HUB_OFFLINE" not in online and online["HTTPS_PROXY"] and online["HF_HUB_DISABLE_XET"] == "1"
    assert "HF_TOKEN" not in online
