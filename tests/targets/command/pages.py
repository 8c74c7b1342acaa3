"""A server that answers as another one was seen to: `pages.py FILE ADDRESS PORT`.

The file has a text for each path. Further arguments are flags of the other server.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PAGES = json.loads(Path(sys.argv[1]).read_text())


class Handler(BaseHTTPRequestHandler):
    """Knows no other paths."""

    def do_GET(self) -> None:
        said = PAGES.get(self.path, "")
        self.send_response(200 if said else 404)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())


HTTPServer((sys.argv[2], int(sys.argv[3])), Handler).serve_forever()
