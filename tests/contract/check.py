"""Holds the running server against its OpenAPI document.

First the documents themselves: openapi-spec-validator finds the one of the API valid, the parser of AsyncAPI the one of
the sockets, and there every example is what its schema says. Then a server is started on a database of its own, and
schemathesis asks it what the document allows and what it forbids, as everybody who may ask: no answer is a 5xx, and
each is one that the document names, with its status, media type, headers and schema. Operations are asked with made-up
ids, and those of orders, drivers and zones that exist.

The seed is fixed: the same program gives the same requests, but for how far they come in the time that they have.
"""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from jsonschema import Draft7Validator
from openapi_spec_validator import validate

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
# Who asks, with whose token, whether about things that exist, and what is left out: what ends an order comes last.
ENDING = "(cancel|reject|failed|returned|unassign|zones/.id.)$"
CALLERS = [
    ("nobody", None, True, None),
    ("customer", "customer", True, None),
    ("merchant", "merchant", True, ENDING),
    ("driver", "driver", True, ENDING),
    ("admin", "admin", False, None),
    ("admin about what is", "admin", True, ENDING),
    ("admin to the end", "admin", True, None),
]
AREA = [[[13.30, 52.45], [13.50, 52.45], [13.50, 52.60], [13.30, 52.60], [13.30, 52.45]]]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True, help="the posthaste program")
    parser.add_argument("--sockets", type=Path, help="the program that checks documents of AsyncAPI [default: not checked]")
    parser.add_argument("--seconds", type=int, default=15, help="for each kind of caller [default: 15]")
    parser.add_argument("--examples", type=int, default=15, help="random requests for each operation [default: 15]")
    parser.add_argument("--seed", type=int, default=1, help="of what is random [default: 1]")
    parser.add_argument("--only", help="only this caller: " + ", ".join(name for name, *_ in CALLERS))
    return parser.parse_args()


class Server:
    """A server with a private Postgres in a directory that goes when it does."""

    def __init__(self, program, directory):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.program, self.url = program, f"http://127.0.0.1:{port}"
        # The account that Postgres runs as has to come in.
        os.chmod(directory, 0o755)
        self.environment = {
            **os.environ,
            "POSTHASTE_DATA_DIR": str(directory / "data"),
            "POSTHASTE_TOKEN_KEY": secrets.token_hex(32),
            "POSTHASTE_LISTEN": f"127.0.0.1:{port}",
            "POSTHASTE_LOG": "warn",
            # Tokens of the command line, and passwords that are hashed fast.
            "POSTHASTE_MODE": "development",
            "POSTHASTE_PASSWORD_MEMORY_KIB": "64",
            # What is tried here is the answers, as many of them as there is time for.
            "POSTHASTE_REQUESTS_PER_MINUTE": "0",
            "POSTHASTE_ADDRESS_REQUESTS_PER_MINUTE": "0",
        }
        self.environment.pop("DATABASE_URL", None)
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

    def token(self, holder):
        made = subprocess.run([self.program, "token", holder], env=self.environment, check=True, capture_output=True)
        return made.stdout.decode().strip()

    def ask(self, method, path, token, body=None):
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        return json.load(urllib.request.urlopen(request, timeout=30))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()


def stage(server):
    """A zone, a driver on shift and an order that he has; the tokens of everybody, and the ids."""
    admin = server.token("admin")
    zone = server.ask("POST", "/v1/zones", admin, {"name": "Centre", "area": {"type": "Polygon", "coordinates": AREA}})
    new = {"name": "Grace", "vehicle": "bicycle", "capacity": 3, "zones": [zone["id"]]}
    driver = server.ask("POST", "/v1/drivers", admin, new)
    shift = {"state": "available", "place": {"lat": 52.516, "lng": 13.378}}
    server.ask("PUT", f"/v1/drivers/{driver['id']}/shift", admin, shift)
    merchant = server.token("merchant")
    place = {"speed": "fast", "pickups": [{"lat": 52.5163, "lng": 13.3777}], "delivery": {"lat": 52.5208, "lng": 13.4094}}
    place["customer_id"] = "cus_01jd8v7cjxfm9sxv0q3e0b5z1c"
    order = server.ask("POST", "/v1/orders", merchant, place)
    server.ask("POST", f"/v1/orders/{order['id']}/assign", admin, {"driver_id": driver["id"]})
    link = server.ask("GET", f"/v1/orders/{order['id']}/tracking-link", merchant)
    tokens = {"admin": admin, "merchant": merchant, "driver": server.token(driver["id"])}
    tokens["customer"] = server.token(order["customer_id"])
    ids = {"zones": zone["id"], "drivers": driver["id"], "orders": order["id"], "task": order["tasks"][0]["id"]}
    return tokens, ids | {"token": link["path"].rsplit("/", 1)[-1]}


def with_ids(document, ids):
    """Settings that put ids of things that exist into the paths."""
    lines = []
    for path in document["paths"]:
        noun = path.split("/")[2] if path.count("/") > 1 else ""
        given = {name: ids[name] for name in ("task", "token") if f"{{{name}}}" in path}
        if "{id}" in path and noun in ids:
            given["id"] = ids[noun]
        if given:
            values = ", ".join(f'"path.{name}" = "{value}"' for name, value in given.items())
            lines += ["[[operations]]", f'include-path = "{path}"', f"parameters = {{ {values} }}", ""]
    return "\n".join(lines)


def ask_everything(caller, token, left_out, server, directory, settings, options):
    document = directory / "openapi.json"
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(settings), "run", str(document)]
    command += ["--url", server.url, "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", str(options.examples), "--max-time", str(options.seconds), "--seed", str(options.seed)]
    command += ["--generation-database", "none", "--continue-on-failure", "--warnings", "off", "--no-color"]
    command += ["--request-timeout", "30", "--suppress-health-check", "all", "--max-failures", "50"]
    if token is not None:
        command += ["--header", f"authorization: Bearer {token}"]
    if left_out is not None:
        command += ["--exclude-path-regex", left_out]
    print(f"\n== {caller}", flush=True)
    # Not longer than it says, whatever happens in there.
    return subprocess.run(command, cwd=directory, timeout=options.seconds * 4 + 120).returncode == 0


def check_sockets(options):
    """The document of the sockets is AsyncAPI, and its examples are what it says itself."""
    text = subprocess.run([options.program, "asyncapi"], check=True, capture_output=True).stdout
    if options.sockets is not None and options.sockets.exists():
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            file.write(text)
            file.flush()
            subprocess.run(["node", options.sockets, file.name], check=True)
    document = json.loads(text)
    checked = 0
    for name, message in document["components"]["messages"].items():
        # References lead into the document, so the document is around the schema.
        schema = {"allOf": [message["payload"]], "components": document["components"]}
        for example in message["examples"]:
            for error in Draft7Validator(schema).iter_errors(example["payload"]):
                sys.exit(f"an example of {name} is not what its schema says: {error.message}")
            checked += 1
    print(f"{checked} examples of the sockets are what their schemas say", flush=True)


def main():
    options = arguments()
    options.program = options.program.resolve()
    check_sockets(options)
    text = subprocess.run([options.program, "openapi"], check=True, capture_output=True).stdout
    document = json.loads(text)
    validate(document)
    print(f"the document is valid OpenAPI {document['openapi']}, {len(document['paths'])} paths", flush=True)
    with tempfile.TemporaryDirectory(prefix="posthaste-contract-") as temporary:
        directory = Path(temporary)
        (directory / "openapi.json").write_bytes(text)
        server = Server(options.program, directory)
        try:
            tokens, ids = stage(server)
            (directory / "none.toml").write_text("")
            (directory / "real.toml").write_text(with_ids(document, ids))
            failed = []
            for caller, holder, real, left_out in CALLERS:
                if options.only not in (None, caller):
                    continue
                settings = directory / ("real.toml" if real else "none.toml")
                if not ask_everything(caller, tokens.get(holder), left_out, server, directory, settings, options):
                    failed.append(caller)
            if server.process.poll() is not None:
                failed.append("the server itself: it ended")
        finally:
            server.stop()
            log = server.log.read_text()
        if log.strip():
            print(f"\n== the server's log\n{log[-4000:]}")
    if failed:
        sys.exit(f"not as the document says: {', '.join(failed)}")
    print("\nevery answer was one that the document names")


if __name__ == "__main__":
    main()
