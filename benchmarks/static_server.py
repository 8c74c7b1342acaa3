"""An HTTP server that gives one small body from memory: nginx if it is there, else our own."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runners.base import LaunchSpec
from runners.ports import choose_free_ports
from runners.process import ProcessRunner
from tuner.load.calibration import null_server
from tuner.load.profile import Endpoint

# One process that never closes a connection and writes nothing outside its folder.
_NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_time 24h;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ default_type application/json; return 200 "{{}}"; }}
  }}
}}
"""


@dataclass(frozen=True)
class StaticServer:
    name: str
    endpoint: Endpoint


@contextmanager
def static_server() -> Iterator[StaticServer]:
    """Listens on 127.0.0.1 for as long as the `with` block lasts."""
    nginx = shutil.which("nginx")
    if nginx is None:
        with null_server() as endpoint:
            yield StaticServer("our own null server (nginx is not installed)", endpoint)
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        folder = Path(name)
        ports = choose_free_ports(["http"])
        configuration = folder / "nginx.conf"
        configuration.write_text(_NGINX.format(folder=folder, port=ports["http"]))
        launch_spec = LaunchSpec(
            command=(nginx, "-p", str(folder), "-e", "stderr", "-c", str(configuration)),
            ports=("http",),
        )
        runner = ProcessRunner(log_directory=folder / "logs", choose_ports=lambda _: ports)
        with runner.start(launch_spec) as server:
            yield StaticServer("nginx", Endpoint(server.host, server.ports["http"]))
