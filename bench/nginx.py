"""The yardstick: nginx `proxy_pass` to the mock, one worker, tuned as its own documentation says, no access log."""

import os
import subprocess
from pathlib import Path

from bench.processes import SERVER, Children, free_port, listening, tool, wait_until
from bench.target import Target

_CONFIG = """\
daemon off;
{user}
pid {home}/nginx.pid;
error_log {home}/error.log error;
worker_processes 1;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  client_body_buffer_size 64k;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_read_timeout 300s;
  upstream mock {{
    server 127.0.0.1:{upstream};
    keepalive 256;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://mock; }}
  }}
  server {{
    listen 127.0.0.1:{stream_port} backlog=4096;
    location / {{ proxy_pass http://mock; proxy_buffering off; }}
  }}
}}
"""


def config(*, home: Path, upstream: int, port: int, stream_port: int, files: int) -> str:
    """The configuration file: buffered answers on `port`, streams unbuffered on `stream_port`."""
    return _CONFIG.format(
        home=home,
        upstream=upstream,
        port=port,
        stream_port=stream_port,
        files=files,
        connections=files - 64,
        user="user root;" if os.geteuid() == 0 else "",
    )


def start_nginx(children: Children, name: str, home: Path, *, upstream: int, files: int) -> Target:
    """Start one nginx in its own directory."""
    home.mkdir()
    port, stream_port = free_port(), free_port()
    path = home / "nginx.conf"
    path.write_text(config(home=home, upstream=upstream, port=port, stream_port=stream_port, files=files))
    command = [tool("nginx"), "-e", str(home / "error.log"), "-p", str(home), "-c", str(path)]
    child = children.start(command, role=SERVER, log=home / "out.log")
    wait_until(lambda: child.poll() is not None or listening(stream_port), 5, f"{name} listens")
    if child.poll() is not None:
        raise RuntimeError(f"{name} did not start: {(home / 'out.log').read_text()}")
    return Target(name=name, pid=child.pid, port=port, stream_port=stream_port, key="bench")


def version() -> str:
    """As nginx says it."""
    said = subprocess.run([tool("nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2].split()[0]
