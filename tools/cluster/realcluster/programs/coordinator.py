"""A stand-in for the app proxy's coordinator, a product of its own that no published package holds.

``coordinator.py PORT``.  The manager's start-service asks it ``GET /status`` and ``POST /v2/conf``, a client then
asks ``/v2/proxy/TOKEN/SESSION/add``.  Container ports are published on this machine's loopback, so the address it
gives is the port itself and nothing is relayed.  The forms of token and address are its own.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1])


class Handler(BaseHTTPRequestHandler):
    def answer(self, body: Mapping[str, object], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        target = json.dumps([asked["kernel_host"], asked["kernel_port"]])
        self.answer({"token": base64.urlsafe_b64encode(target.encode()).decode()})

    def do_GET(self) -> None:
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts == ["status"]:
            address = f"http://127.0.0.1:{PORT}"
            self.answer(
                {"coordinator_version": "stand-in", "api_version": "v2", "advertise_address": address}
            )
        elif parts[:2] == ["v2", "proxy"] and parts[-1] == "add":
            host, port = json.loads(base64.urlsafe_b64decode(parts[2]))
            self.answer({"code": 200, "url": f"http://{host}:{port}/"})
        else:
            self.answer({"error": "no such path"}, 404)


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
