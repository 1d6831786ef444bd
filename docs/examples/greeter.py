#!/usr/bin/env python3
"""A bot for Tidings in nothing but Python's standard library: it greets who comes online.

    python3 greeter.py stream  roster:presence   follows Server-Sent Events, and goes on where it was
    python3 greeter.py webhook 8080              takes signed POSTs of a subscription that you have made

TIDINGS_URL and TIDINGS_TOKEN say where the broker is and who the bot is, TIDINGS_WEBHOOK_SECRET (whsec_...) what
its webhooks are signed with. How far the stream has come lies in greeter.cursor.

Each event is handled at least once. What the bot does carries a key made of the event's id, so that the broker does
it once, however often the event is told.
"""

import base64
import hashlib
import hmac
import http.server
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

URL = os.environ.get("TIDINGS_URL", "http://127.0.0.1:4280").rstrip("/")
TOKEN = os.environ.get("TIDINGS_TOKEN", "")
CURSOR_FILE = "greeter.cursor"
SILENCE_MAX = 45  # seconds; the broker says something every 15
SIGNED_WITHIN = 5 * 60  # seconds, as Standard Webhooks advises
BODY_MAX = 1024 * 1024


def call(method, path, body=None, **headers):
    """Asks the broker, and answers the JSON of its answer. Raises urllib.error.HTTPError where it refuses."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data, method=method)
    request.add_header("Authorization", "Bearer " + TOKEN)
    if data is not None:
        request.add_header("Content-Type", "application/json")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def handle(event):
    """What the bot is about. An event is a CloudEvent: https://cloudevents.io"""
    data = event.get("data") or {}
    if event["type"] != "dev.tidings.property.changed" or data["name"] != "presence":
        return
    value = data["value"]
    if not isinstance(value, dict) or value.get("status") != "online":
        return
    to = urllib.parse.quote(data["node"], safe="")
    key = hashlib.sha256(("greeter " + event["id"]).encode()).hexdigest()
    hops = str(int(event.get("hops", 0)) + 1)
    message = {"contentType": "text/plain; charset=utf-8", "content": "Hello from Python!"}
    call("POST", f"/v1/nodes/{to}/messages", message, Idempotency_Key=key, Tidings_Hops=hops)
    print("greeted", data["node"], flush=True)


# By stream: https://html.spec.whatwg.org/multipage/server-sent-events.html


def frames(lines):
    """Of each frame its id and its data."""
    cursor, data = None, []
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id":
            cursor = value
        elif field == "data":
            data.append(value)
        elif line == "" and data:
            yield cursor, json.loads("\n".join(data))
            data = []


def read_cursor():
    try:
        with open(CURSOR_FILE, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def save_cursor(cursor):
    """In one piece, and on disk: a kill leaves the old one or the new one."""
    with open(CURSOR_FILE + ".new", "w", encoding="ascii") as file:
        file.write(cursor)
        file.flush()
        os.fsync(file.fileno())
    os.replace(CURSOR_FILE + ".new", CURSOR_FILE)


def follow(target):
    wait = 1
    while True:
        request = urllib.request.Request(f"{URL}/v1/events?watch={urllib.parse.quote(target)}")
        request.add_header("Authorization", "Bearer " + TOKEN)
        cursor = read_cursor()
        if cursor:
            request.add_header("Last-Event-ID", cursor)
        try:
            with urllib.request.urlopen(request, timeout=SILENCE_MAX) as stream:
                print("listening", flush=True)
                wait = 1
                for cursor, event in frames(stream):
                    handle(event)
                    save_cursor(cursor)
        except urllib.error.HTTPError as refusal:
            if refusal.code < 500 and refusal.code != 429:
                sys.exit(f"greeter: {refusal.code} {refusal.read().decode()}")
        except OSError as broken:
            print("greeter:", broken, file=sys.stderr, flush=True)
        time.sleep(wait)
        wait = min(wait * 2, 30)


# By webhook: https://www.standardwebhooks.com


def is_signed(secret, headers, body):
    """Whether the body comes from whoever knows the secret, and not from long ago."""
    sent = headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > SIGNED_WITHIN:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = headers.get("webhook-id", "").encode() + b"." + sent.encode() + b"." + body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # While the secret is being changed there are two.
    given = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(expected.encode(), one.encode()) for one in given)


class Receiver(http.server.BaseHTTPRequestHandler):
    secret = os.environ.get("TIDINGS_WEBHOOK_SECRET", "")
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        length = self.headers.get("content-length", "")
        if not length.isdigit() or int(length) > BODY_MAX:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(int(length))
        if not is_signed(self.secret, self.headers, body):
            return self.answer(401)
        told = json.loads(body)
        try:
            for event in told if isinstance(told, list) else [told]:
                handle(event)
        except OSError as failure:
            # The broker tells it again.
            print("greeter:", failure, file=sys.stderr, flush=True)
            return self.answer(503)
        self.answer(204)

    def do_OPTIONS(self):
        """The broker asks first whether it may: CloudEvents, HTTP webhooks, 4.2."""
        self.answer(200, {"WebHook-Allowed-Origin": self.headers.get("WebHook-Request-Origin", "*")})

    def answer(self, status, headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def receive(port):
    if not Receiver.secret:
        sys.exit("greeter: TIDINGS_WEBHOOK_SECRET is not set")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    print("listening on", server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    what = sys.argv[1:]
    try:
        if len(what) == 2 and what[0] == "stream":
            follow(what[1])
        elif len(what) == 2 and what[0] == "webhook":
            receive(int(what[1]))
        else:
            sys.exit(__doc__)
    except KeyboardInterrupt:
        pass
