"""A merchant's program: takes webhooks and checks each with the published Standard Webhooks library.

Prints its port, then one line of JSON for each request that it took. A line on its input is the secret it knows from
then on; the empty line makes it refuse everything.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

known = {"secret": ""}
one_at_a_time = threading.Lock()


def say(what):
    with one_at_a_time:
        sys.stdout.write(json.dumps(what) + "\n")
        sys.stdout.flush()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        verified = None
        try:
            if known["secret"]:
                verified = Webhook(known["secret"]).verify(body, dict(self.headers.items()))
        except WebhookVerificationError as error:
            print(f"refused: {error}", file=sys.stderr)
        self.send_response(204 if verified is not None else 401)
        self.send_header("content-length", "0")
        self.end_headers()
        line = {"id": self.headers["webhook-id"], "verified": verified is not None, "body": json.loads(body),
                "signatures": len(self.headers["webhook-signature"].split())}
        say(line)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Receiver)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
for line in sys.stdin:
    known["secret"] = line.strip()
    say({"secret": "known"})
