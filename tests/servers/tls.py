"""nginx before a Triton: TLS for HTTP and gRPC, over TCP and over Unix sockets.

It is left at its defaults where they show at the client: a connection ends after 1000 requests
(keepalive_requests), over HTTP/1.1 with `Connection: close`, over HTTP/2 with GOAWAY. A client
without the required certificate is refused after the handshake, with HTTP status 400.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from runners.base import LaunchSpec, RunningServer
from runners.ports import choose_free_ports
from tests.servers.certificates import Certificates
from tests.servers.started import started
from tests.servers.triton import TritonServer, echoes

_PORTS = ("https", "https_mutual", "grpcs", "grpcs_mutual")
# ngx_http_core, ngx_http_ssl, ngx_http_v2, ngx_http_proxy, ngx_http_grpc and ngx_http_upstream.
_CONFIGURATION = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/client_body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  ssl_certificate {certificates.server_certificate};
  ssl_certificate_key {certificates.server_key};
  ssl_client_certificate {certificates.ca_certificate};
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream http {{ server {triton.host}:{triton.http_port}; keepalive 16; }}
  upstream grpc {{ server {triton.host}:{triton.grpc_port}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{ports[https]} ssl;
    listen unix:{folder}/https.sock ssl;
    listen unix:{folder}/http.sock;
    location / {{ proxy_pass http://http; }}
  }}
  server {{
    listen 127.0.0.1:{ports[https_mutual]} ssl;
    ssl_verify_client on;
    location / {{ proxy_pass http://http; }}
  }}
  server {{
    listen 127.0.0.1:{ports[grpcs]} ssl http2;
    listen unix:{folder}/grpcs.sock ssl http2;
    listen unix:{folder}/grpc.sock http2;
    location / {{ grpc_pass grpc://grpc; }}
  }}
  server {{
    listen 127.0.0.1:{ports[grpcs_mutual]} ssl http2;
    ssl_verify_client on;
    location / {{ grpc_pass grpc://grpc; }}
  }}
}}
"""


@dataclass(frozen=True)
class TlsProxy:
    """Where it listens; `mutual` ports require the client's certificate.

    The sockets `http_socket` and `grpc_socket` speak without TLS.
    """

    certificates: Certificates
    host: str
    https_port: int
    https_mutual_port: int
    grpcs_port: int
    grpcs_mutual_port: int
    http_socket: Path
    https_socket: Path
    grpc_socket: Path
    grpcs_socket: Path


def missing() -> str:
    """What must be installed first, as a sentence; empty if it is all there."""
    return "" if _program() else "the TLS proxy is nginx: apt-get install nginx"


@contextmanager
def proxying(triton: TritonServer, certificates: Certificates) -> Iterator[TlsProxy]:
    """The proxy, once an inference came through it."""
    with tempfile.TemporaryDirectory(prefix="nginx-") as name:
        folder = Path(name)
        command = (_program() or "nginx", "-e", "stderr", "-p", name, "-c", f"{name}/nginx.conf")
        with started(
            LaunchSpec(command=command, ports=_PORTS),
            logs=folder / "logs",
            is_ready=partial(_is_ready, certificates=certificates),
            choose_ports=partial(_configure, folder, triton, certificates),
        ) as server:
            yield TlsProxy(
                certificates,
                server.host,
                https_port=server.ports["https"],
                https_mutual_port=server.ports["https_mutual"],
                grpcs_port=server.ports["grpcs"],
                grpcs_mutual_port=server.ports["grpcs_mutual"],
                http_socket=folder / "http.sock",
                https_socket=folder / "https.sock",
                grpc_socket=folder / "grpc.sock",
                grpcs_socket=folder / "grpcs.sock",
            )


def _program() -> str | None:
    """It lies where the PATH of ordinary users does not lead."""
    return shutil.which("nginx", path=os.pathsep.join((os.environ["PATH"], "/usr/sbin")))


def _configure(
    folder: Path, triton: TritonServer, certificates: Certificates, names: tuple[str, ...]
) -> Mapping[str, int]:
    ports = choose_free_ports(names)
    text = _CONFIGURATION.format(
        # As root it would give its work to a user who may not enter the folder.
        user="user root;" if os.geteuid() == 0 else "",
        folder=folder,
        certificates=certificates,
        triton=triton,
        ports=ports,
    )
    (folder / "nginx.conf").write_text(text)
    return ports


def _is_ready(server: RunningServer, *, certificates: Certificates) -> bool:
    context = certificates.client_context()
    url = f"https://localhost:{server.ports['https']}"
    with httpx.Client(base_url=url, verify=context, trust_env=False) as client:
        return echoes(client)
