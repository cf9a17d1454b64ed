"""A server of its own, and the people who use it: real accounts, signed in."""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

# That of the document's examples, so that they are right for whoever may lose their account.
PASSWORD = "correct horse battery"
COOKIE = "__Secure-posthaste_refresh"
AREA = [[[13.30, 52.45], [13.50, 52.45], [13.50, 52.60], [13.30, 52.60], [13.30, 52.45]]]
SCOPES = ["orders:read", "orders:write", "insight:read", "zones:read", "webhooks:read", "webhooks:write"]


class Server:
    """A server with a private Postgres in a directory that goes when it does. `settings` change those below; None
    leaves one as it usually is."""

    def __init__(self, program, directory, settings=None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.program, self.url = program, f"http://127.0.0.1:{port}"
        # The account that Postgres runs as has to come in.
        os.chmod(directory, 0o755)
        self.environment = {
            # Settings of whoever runs the tests are none of the server's.
            **{name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")},
            "POSTHASTE_DATA_DIR": str(directory / "data"),
            "POSTHASTE_TOKEN_KEY": secrets.token_hex(32),
            "POSTHASTE_LISTEN": f"127.0.0.1:{port}",
            "POSTHASTE_LOG": "warn",
            "POSTHASTE_POSTGRES_DOWNLOAD": "true",
            # Letters at /dev/mail, and passwords that are hashed fast.
            "POSTHASTE_MODE": "development",
            "POSTHASTE_PASSWORD_MEMORY_KIB": "64",
            # What is tried here is the answers, as many of them as there is time for.
            "POSTHASTE_REQUESTS_PER_MINUTE": "0",
            "POSTHASTE_ADDRESS_REQUESTS_PER_MINUTE": "0",
        }
        for name, value in (settings or {}).items():
            if value is None:
                self.environment.pop(name, None)
            else:
                self.environment[name] = value
        self.environment.pop("DATABASE_URL", None)
        create = [program, "admin", "create", "--email", "admin@example.org", "--password-stdin"]
        subprocess.run(create, env=self.environment, input=PASSWORD.encode(), check=True, capture_output=True)
        self.log = directory / "server.log"
        self.process = subprocess.Popen([program, "serve"], env=self.environment, stderr=self.log.open("w"))
        until = time.monotonic() + 120
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                sys.exit(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.2)

    def ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/health/ready", timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def send(self, method, path, token=None, body=None, headers=None):
        headers = {"content-type": "application/json", **(headers or {})}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            return urllib.request.urlopen(request, timeout=30)
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def ask(self, method, path, token=None, body=None):
        text = self.send(method, path, token, body).read()
        return json.loads(text) if text else None

    def letter(self, to):
        """The code in the newest letter to somebody, once it is there."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            mail = self.send("GET", "/dev/mail").read().decode()
            for letter in re.split(r"(?m)^(?=\S+ to )", mail):
                if to in letter and (code := re.search(r"(?m)^(\d{6})\b", letter)):
                    return code.group(1)
            time.sleep(0.1)
        sys.exit(f"no letter to {to}:\n{mail}")

    def register(self, role, name):
        email = f"{name}@example.org"
        asked = {"role": role, "email": email, "password": PASSWORD, "name": name}
        challenge = self.ask("POST", "/v1/accounts", body=asked)["challenge_id"]
        return self.ask("POST", "/v1/accounts/verify", body={"challenge_id": challenge, "code": self.letter(email)})

    def sign_in(self, name):
        """What a login is worked with: the tokens, and the refresh token of the cookie."""
        answer = self.send("POST", "/v1/sessions", body={"email": f"{name}@example.org", "password": PASSWORD})
        cookie = re.search(rf"{COOKIE}=([^;]+)", answer.headers["set-cookie"]).group(1)
        return json.load(answer), cookie

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Stage:
    """A zone; an account of each role, activated and signed in; a driver on shift with an order; a merchant's key and
    endpoint; accounts that may be lost; and the ids of all of it."""

    def __init__(self, server):
        self.server, ask = server, server.ask
        self.tokens = {"admin": server.sign_in("admin")[0]["access_token"]}
        admin = self.tokens["admin"]
        area = {"name": "Centre", "area": {"type": "Polygon", "coordinates": AREA}}
        zone = ask("POST", "/v1/zones", admin, area)["id"]
        parties, spare = {}, server.register("merchant", "spare")["id"]
        for role in ("customer", "merchant", "driver"):
            account = server.register(role, role)
            if role == "driver":
                early = server.sign_in(role)[0]["access_token"]
                profile = {"vehicle": "bicycle", "capacity": 3, "zones": [zone]}
                ask("PUT", "/v1/account/profile/driver", early, profile)
            if role != "customer":
                account = ask("POST", f"/v1/accounts/{account['id']}/activate", admin, {})
            parties[role] = account["party"]
            self.tokens[role] = server.sign_in(role)[0]["access_token"]
            # An account that may be lost: it is lost once, and then is not there.
            server.register(role, f"lost-{role}")
        merchant, driver = self.tokens["merchant"], parties["driver"]
        key = ask("POST", "/v1/account/keys", merchant, {"name": "backend", "scopes": SCOPES})
        self.tokens["key"] = key["secret"]
        second = ask("POST", "/v1/account/keys", merchant, {"name": "to revoke", "scopes": SCOPES[:1]})
        shift = {"state": "available", "place": {"lat": 52.516, "lng": 13.378}}
        ask("PUT", f"/v1/drivers/{driver}/shift", self.tokens["driver"], shift)
        start = time.gmtime(time.time() + 3600), time.gmtime(time.time() + 7200)
        planned = dict(zip(("start", "end"), (time.strftime("%Y-%m-%dT%H:%M:%SZ", at) for at in start)))
        shift = ask("POST", f"/v1/drivers/{driver}/shifts", admin, planned)["id"]
        order = {"speed": "fast", "customer_id": parties["customer"]}
        order["pickups"] = [{"lat": 52.5163, "lng": 13.3777}]
        order["delivery"] = {"lat": 52.5208, "lng": 13.4094}
        order = ask("POST", "/v1/orders", merchant, order)
        ask("POST", f"/v1/orders/{order['id']}/assign", admin, {"driver_id": driver})
        link = ask("GET", f"/v1/orders/{order['id']}/tracking-link", merchant)["path"]
        endpoint = ask("POST", "/v1/webhooks/endpoints", self.tokens["key"], {"url": "https://shop.example/hooks"})["id"]
        message = ask("POST", f"/v1/webhooks/endpoints/{endpoint}/test", merchant)["id"]
        # By what the path begins with; the first that fits.
        self.ids = {
            "/v1/zones/": zone,
            "/v1/drivers/": driver,
            "/v1/orders/": order["id"],
            "/v1/webhooks/endpoints/": endpoint,
            "/v1/webhooks/messages/": message,
            "/v1/account/keys/": second["key"]["id"],
            "/v1/accounts/": spare,
        }
        self.parameters = {"task": order["tasks"][0]["id"], "token": link.rsplit("/", 1)[-1], "shift": shift}
