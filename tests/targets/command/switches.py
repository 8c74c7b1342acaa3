"""A server with the switches and lists that argparse has; it tells what it was started with."""

import json
import sys
from argparse import ArgumentParser, BooleanOptionalAction
from http.server import BaseHTTPRequestHandler, HTTPServer

parser = ArgumentParser(allow_abbrev=False)
parser.add_argument("--port", type=int)
parser.add_argument("--eager", action="store_true")
parser.add_argument("--no-access-log", action="store_true")
parser.add_argument("--prefix-caching", action=BooleanOptionalAction, default=None)
parser.add_argument("--sparse", choices=["true", "false"])
parser.add_argument("--sizes", nargs="+", type=int)
parser.add_argument("--lora", action="append")
parser.add_argument("--level", type=int, default=0)
parser.add_argument("--quantization")
parser.add_argument("rest", nargs="*")
known, more = parser.parse_known_args()
if [word for word in more if not word.startswith("-X")]:
    sys.exit(f"unrecognized arguments: {more}")
TOLD = json.dumps({**vars(known), "java": more}).encode()


class Handler(BaseHTTPRequestHandler):
    """Answers every request with what the command line was understood as."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(TOLD)))
        self.end_headers()
        self.wfile.write(TOLD)

    do_POST = do_GET  # noqa: N815 - http.server's name


HTTPServer(("127.0.0.1", known.port), Handler).serve_forever()
