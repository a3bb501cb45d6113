"""A program that is told by webhooks: checks each signature with the secret, and keeps what was signed rightly.

FOLDER/answer, if it is there, holds the status that is answered instead of 204; such a message is not kept.
"""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import sys
import time
from pathlib import Path

folder, secret = Path(sys.argv[1]), base64.b64decode(sys.argv[2].removeprefix("whsec_"))


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        identity, moment = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = f"{identity}.{moment}.".encode() + body
        expected = "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        rightly = hmac.compare_digest(expected, self.headers["webhook-signature"]) and abs(time.time() - int(moment)) < 60
        answer = folder / "answer"
        status = 401 if not rightly else int(answer.read_text()) if answer.exists() else 204
        name = f"{time.time_ns():020}-{status}.json"
        (folder / "new").write_text(json.dumps({"id": identity, "path": self.path, "body": json.loads(body)}))
        (folder / "new").rename(folder / name)
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header("Location", "https://localhost:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), Receiver)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
