"""Twilio's own client against a sender of texts: what it reads and raises, as one line of JSON."""

import json
import os
import sys

import requests
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

url, account, token, number = sys.argv[1:]
# It is on this machine, whatever the environment names as a proxy.
os.environ["NO_PROXY"] = "*"


class Here(TwilioHttpClient):
    """Sends what is for Twilio to the stand-in."""

    def request(self, method, uri, *more, **named):
        there = "https://api.twilio.com"
        assert uri.startswith(there), uri
        return super().request(method, url + uri[len(there):], *more, **named)


def client(token):
    return Client(account, token, http_client=Here(timeout=10))


def attempt(to, token=token, body="123456 is your code, Grüße & more"):
    try:
        return client(token).messages.create(to=to, from_=number, body=body)
    except TwilioRestException as refused:
        return {"status": refused.status, "code": refused.code}
    except requests.exceptions.ConnectionError:
        return "disconnected"


sent = attempt("+4930123456")
read = client(token).messages(sent.sid).fetch()
listed = client(token).messages.list(to="+4930123456", limit=5)
outcomes = {
    "sound": [sent.status, sent.to, sent.from_, sent.body, sent.direction, sent.error_code],
    "same": [read.sid == sent.sid, read.date_created == sent.date_created is not None, read.body == sent.body],
    "listed": [each.sid == sent.sid for each in listed],
    "no number": attempt("+15005550001"),
    "stopped": attempt("+15005550004"),
    "too many": attempt("+15005550451"),
    "empty": attempt("+4930123456", body=""),
    "wrong token": attempt("+4930123456", token="wrong"),
}
requests.post(url + "/rules", json={"kind": "text", "manner": "takes_and_cuts", "times": 1}).raise_for_status()
outcomes["cut"] = attempt("+4930123457")
print(json.dumps(outcomes))
