"""Holds the running server against its OpenAPI document.

First the documents themselves: openapi-spec-validator finds the one of the API valid, the parser of AsyncAPI the one of
the sockets, and the examples of both are what their schemas say. Then a server is started on a database of its own; newman
runs the collection for Postman that is made of the document; and schemathesis asks it what the document allows and what it forbids, as everybody who may ask: nobody, a signed-in account
of each role, a merchant's key, the holder of a refresh cookie. No answer is a 5xx, and each is one that the document
names, with its status, media type, headers and schema. Operations are asked with made-up ids, and those of things that
exist.

Everybody is tried on the operations that are for them, and on a few others. What would end the rest of the run (the
password, the sessions, the account) is tried with accounts that may be lost.

The seed is fixed: the same program gives the same requests, but for how far they come in the time that they have.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from jsonschema import Draft7Validator, Draft202012Validator
from openapi_spec_validator import validate

from server import COOKIE, Server, Stage

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
]
# What ends an order, a zone, an account or a session, by method and path.
ENDING = re.compile(r"/(cancel|reject|failed|returned|unassign|ban)$|^DELETE /v1/(zones|webhooks/endpoints)/")
# What somebody may lose their own account by.
LOSING = re.compile(
    r"/v1/account/(password|sessions|second-factor|recovery-codes|email|phone|google)|^DELETE /v1/account$"
)
REFRESH, END = "POST /v1/sessions/refresh", "POST /v1/sessions/end"
# Of operations that are for others, one in so many.
FEW = 9


@dataclass(frozen=True)
class Caller:
    """Who asks, about things that exist or made-up ones, and which part of the time they have."""

    name: str
    role: str | None
    share: int
    real: bool = True
    # Which operations, by method and path; those that are for the role and a few others where none is named.
    only: re.Pattern | None = None
    without: tuple = ()
    # Signs in for the purpose, with an account that may be lost.
    loses: bool = False
    cookie: bool = False


CALLERS = [
    Caller("nobody", None, 12, without=(re.compile(END),)),
    Caller("the holder of a cookie", "customer", 3, only=re.compile(REFRESH), cookie=True),
    Caller("the holder of a cookie who signs out", "customer", 2, only=re.compile(END), cookie=True),
    Caller("customer", "customer", 10, without=(ENDING, LOSING)),
    Caller("merchant", "merchant", 16, without=(ENDING, LOSING)),
    Caller("key", "key", 12, without=(ENDING,)),
    Caller("driver", "driver", 12, without=(ENDING, LOSING)),
    Caller("customer who loses their account", "customer", 4, only=LOSING, loses=True),
    Caller("merchant who loses their account", "merchant", 4, only=LOSING, loses=True),
    Caller("driver who loses their account", "driver", 4, only=LOSING, loses=True),
    Caller("admin", "admin", 12, real=False, without=(LOSING,)),
    Caller("admin about what is", "admin", 14, without=(ENDING, LOSING)),
    Caller("admin to the end", "admin", 6, only=ENDING),
    # Their account is the last that is needed.
    Caller("admin who loses their account", "admin", 3, only=LOSING),
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True, help="the posthaste program")
    parser.add_argument("--sockets", type=Path, help="the program that checks documents of AsyncAPI [default: not checked]")
    parser.add_argument("--postman", type=Path, help="the program that runs Postman's collections [default: not run]")
    parser.add_argument("--seconds", type=int, default=90, help="of asking, for all callers together [default: 90]")
    parser.add_argument("--examples", type=int, default=15, help="random requests for each operation [default: 15]")
    parser.add_argument("--seed", type=int, default=1, help="of what is random [default: 1]")
    parser.add_argument("--only", help="only this caller: " + ", ".join(caller.name for caller in CALLERS))
    return parser.parse_args()


def check_examples(document):
    """The examples of bodies are what their schemas say."""
    tried, wrong = 0, []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
            for what, body in bodies.items():
                content = body.get("content", {}).get("application/json", {})
                if "example" not in content:
                    continue
                schema = {**content["schema"], "components": document["components"]}
                checker = Draft202012Validator.FORMAT_CHECKER
                tried += 1
                for fault in Draft202012Validator(schema, format_checker=checker).iter_errors(content["example"]):
                    wrong.append(f"{method} {path} {what} {fault.json_path}: {fault.message}")
    if wrong or tried < 100:
        sys.exit("\n".join(["examples that are not what their schemas say:", *wrong, f"{tried} tried"]))
    return tried


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


def run_collection(options, directory, stage):
    """The collection for Postman is made, and run against the server, as a merchant's program."""
    if options.postman is None or not options.postman.exists():
        return
    collection, about = directory / "collection.json", directory / "stage.json"
    made = subprocess.run([options.program, "openapi", "--postman"], check=True, capture_output=True).stdout
    collection.write_bytes(made)
    order = {"speed": "fast", "reference": "postman", "pickups": [{"lat": 52.5163, "lng": 13.3777}]}
    # As the examples of the document are about others' things.
    order |= {"delivery": {"lat": 52.5208, "lng": 13.4094}, "merchant_id": None, "customer_id": None}
    # Of its own, as it ends them.
    ask, key = stage.server.ask, stage.tokens["key"]
    placed = ask("POST", "/v1/orders", key, {**order, "reference": "to be ended"})
    endpoint = ask("POST", "/v1/webhooks/endpoints", key, {"url": "https://shop.example/postman"})["id"]
    message = ask("POST", f"/v1/webhooks/endpoints/{endpoint}/test", key)["id"]
    own = {"/v1/orders/": placed["id"], "/v1/webhooks/endpoints/": endpoint, "/v1/webhooks/messages/": message}
    known = {"url": stage.server.url, "tokens": stage.tokens, "parameters": {"task": placed["tasks"][0]["id"]}}
    about.write_text(json.dumps({**known, "ids": {**stage.ids, **own}, "order": order}))
    subprocess.run(["node", options.postman, collection, about], check=True, timeout=120)


def is_for(operation, role):
    if role is None:
        return operation["security"] == [] or {} in operation["security"]
    said = operation.get("description", "")
    if role == "key":
        return "Keys need `" in said
    roles = re.search(r"For: ([a-z, ]+)\.", said)
    return roles is not None and role in roles.group(1).split(", ")


def part_of(document, caller):
    """The document with the operations that this caller is tried on."""
    paths, others = {}, 0
    for path, item in document["paths"].items():
        kept = {}
        for method, operation in item.items():
            name = f"{method.upper()} {path}"
            if any(pattern.search(name) for pattern in caller.without):
                continue
            if caller.only is not None:
                wanted = caller.only.search(name) is not None
            else:
                wanted = is_for(operation, caller.role)
                if not wanted:
                    others += 1
                    wanted = others % FEW == 0
            if wanted:
                kept[method] = operation
        if kept:
            paths[path] = kept
    return {**document, "paths": paths}


def with_ids(paths, stage):
    """Settings that put ids of things that exist into the paths."""
    lines = []
    for path in paths:
        given = {name: value for name, value in stage.parameters.items() if f"{{{name}}}" in path}
        if "{id}" in path:
            found = (value for start, value in stage.ids.items() if path.startswith(start))
            given.update({"id": value for value in found})
        if given:
            values = ", ".join(f'"path.{name}" = "{value}"' for name, value in given.items())
            lines += ["[[operations]]", f'include-path = "{path}"', f"parameters = {{ {values} }}", ""]
    return "\n".join(lines)


def credentials(caller, stage):
    """The header that shows who asks."""
    if caller.role is None:
        return None
    if caller.cookie:
        return f"cookie: {COOKIE}={stage.server.sign_in(caller.role)[1]}"
    if caller.loses:
        return f"authorization: Bearer {stage.server.sign_in('lost-' + caller.role)[0]['access_token']}"
    return f"authorization: Bearer {stage.tokens[caller.role]}"


def ask_everything(caller, document, stage, directory, options):
    part, settings = part_of(document, caller), directory / "settings.toml"
    (directory / "part.json").write_text(json.dumps(part))
    settings.write_text(with_ids(part["paths"], stage) if caller.real else "")
    seconds = max(3, options.seconds * caller.share // sum(caller.share for caller in CALLERS))
    command = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(settings), "run", "part.json"]
    command += ["--url", stage.server.url, "--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing"]
    command += ["--max-examples", str(options.examples), "--max-time", str(seconds), "--seed", str(options.seed)]
    command += ["--generation-database", "none", "--continue-on-failure", "--warnings", "off", "--no-color"]
    command += ["--request-timeout", "30", "--suppress-health-check", "all", "--max-failures", "50"]
    header = credentials(caller, stage)
    if header is not None:
        command += ["--header", header]
    operations = sum(len(item) for item in part["paths"].values())
    print(f"\n== {caller.name}: {operations} operations, {seconds} s", flush=True)
    # Not longer than it says, whatever happens in there.
    return subprocess.run(command, cwd=directory, timeout=seconds * 4 + 120).returncode == 0


def main():
    options = arguments()
    options.program = options.program.resolve()
    check_sockets(options)
    text = subprocess.run([options.program, "openapi"], check=True, capture_output=True).stdout
    document = json.loads(text)
    validate(document)
    examples = check_examples(document)
    print(f"valid OpenAPI {document['openapi']}, {len(document['paths'])} paths, {examples} examples that fit", flush=True)
    with tempfile.TemporaryDirectory(prefix="posthaste-contract-") as temporary:
        directory, began, failed = Path(temporary), time.monotonic(), []
        server = Server(options.program, directory)
        try:
            stage = Stage(server)
            print(f"a server with accounts, after {time.monotonic() - began:.0f} s", flush=True)
            run_collection(options, directory, stage)
            for caller in CALLERS:
                if options.only in (None, caller.name):
                    if not ask_everything(caller, document, stage, directory, options):
                        failed.append(caller.name)
            # Had they lost their sessions on the way, most answers would have been the same 401.
            for role, path in (("customer", "account"), ("merchant", "account"), ("driver", "account"), ("key", "orders")):
                server.ask("GET", f"/v1/{path}", stage.tokens[role])
            if server.process.poll() is not None:
                failed.append("the server itself: it ended")
        finally:
            server.stop()
            log = server.log.read_text()
        if log.strip():
            print(f"\n== the server's log\n{log[-4000:]}")
    if failed:
        sys.exit(f"not as the document says: {', '.join(failed)}")
    print(f"\nevery answer was one that the document names, after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
