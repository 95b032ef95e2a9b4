"""A receiver that believes only what the official library of Standard Webhooks verifies.

Prints its port, then a line for each request: the type, or why it was refused. Every line of its input is the secret
from then on.
"""

import http.server
import sys
import threading

from standardwebhooks.webhooks import Webhook

SECRET = {}
CHANGED = threading.Condition()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with CHANGED:
            CHANGED.wait_for(lambda: SECRET, 20)
        try:
            said = Webhook(SECRET["now"]).verify(body, {name.lower(): value for name, value in self.headers.items()})
            print(said["type"], flush=True)
            self.send_response(204)
        except Exception as error:
            print(f"refused: {error!r}", flush=True)
            self.send_response(400)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
for line in sys.stdin:
    with CHANGED:
        SECRET["now"] = line.strip()
        CHANGED.notify_all()
