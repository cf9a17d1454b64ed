"""Python's own smtplib against a mail server: what it raises, and how, as one line of JSON."""

import json
import smtplib
import sys
from email.message import EmailMessage

host, port = sys.argv[1], int(sys.argv[2])


def message(to):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "us@example.org", to, "Your code"
    mail.set_content("123456 is your code\n.\n..two dots\nGrüße\n")
    return mail


def attempt(to, **more):
    try:
        with smtplib.SMTP(host, port, timeout=10) as server:
            server.login("us", "secret")
            server.send_message(message(to), **more)
            # The connection is good for another.
            server.noop()
        return "sent"
    except smtplib.SMTPRecipientsRefused as refused:
        return {to: code for to, (code, _) in refused.recipients.items()}
    except smtplib.SMTPResponseException as refused:
        return refused.smtp_code
    except smtplib.SMTPServerDisconnected:
        return "disconnected"


outcomes = {
    "sound": attempt("ada@example.org"),
    "several": attempt("grace@example.org", to_addrs=["grace@example.org", "alan@example.org"]),
    "refused": attempt("ada+550@example.org"),
    "cut": attempt("ada+cut@example.org"),
}
with smtplib.SMTP(host, port, timeout=10) as server:
    server.ehlo()
    outcomes["extensions"] = sorted(server.esmtp_features)
    try:
        server.sendmail("us@example.org", ["ada@example.org"], b"x" * (int(server.esmtp_features["size"]) + 1))
    except smtplib.SMTPSenderRefused as refused:
        outcomes["too long"] = refused.smtp_code
print(json.dumps(outcomes))
