"""A mail server of aiosmtpd that does as it is told.

Each message that it takes becomes a file in a folder before it says so; FOLDER/rules.json says what it refuses, and is read
anew at every command. With `--login` nothing is taken without this login, with a certificate there is STARTTLS, or TLS from
the beginning.
"""

import argparse
import asyncio
import json
import os
import ssl
from pathlib import Path

from aiosmtpd.smtp import AuthResult, LoginPassword, SMTP

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", type=Path)
arguments.add_argument("--port", type=int, default=0)
arguments.add_argument("--certificate", type=Path)
arguments.add_argument("--implicit", action="store_true")
arguments.add_argument("--login")
arguments.add_argument("--mechanism", default="PLAIN")
arguments = arguments.parse_args()


def rules():
    try:
        return json.loads((arguments.folder / "rules.json").read_text())
    except FileNotFoundError:
        return {}


class Handler:
    """Takes what no rule refuses."""

    def __init__(self):
        self.refused = {}
        self.taken = len(list(arguments.folder.glob("*.eml")))

    def verdict(self, stage, who):
        """A text is always the answer, those of a list one after the other, until there is none left."""
        rule = rules().get(stage, {}).get(who)
        if isinstance(rule, list):
            count = self.refused.get((stage, who), 0)
            self.refused[stage, who] = count + 1
            return rule[count] if count < len(rule) else None
        return rule

    async def handle_MAIL(self, server, session, envelope, address, options):
        verdict = self.verdict("mail", address)
        if not verdict:
            envelope.mail_from = address
        return verdict or "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        verdict = self.verdict("rcpt", address)
        if not verdict:
            envelope.rcpt_tos.append(address)
        return verdict or "250 OK"

    async def handle_DATA(self, server, session, envelope):
        verdict = self.verdict("data", envelope.rcpt_tos[0])
        if verdict:
            return verdict
        self.taken += 1
        head = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None}
        path = arguments.folder / f"{self.taken:05}.eml"
        path.with_suffix(".new").write_bytes(json.dumps(head).encode() + b"\n" + envelope.original_content)
        path.with_suffix(".new").rename(path)
        return f"250 2.0.0 taken as {self.taken}"


def log_in(server, session, envelope, mechanism, data):
    given = isinstance(data, LoginPassword) and f"{data.login.decode()}:{data.password.decode()}"
    return AuthResult(success=given == arguments.login, handled=False)


async def main():
    context = None
    if arguments.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(arguments.certificate / "cert.pem", arguments.certificate / "key.pem")
    handler = Handler()
    others = {"PLAIN", "LOGIN"} - {arguments.mechanism}

    def protocol():
        return SMTP(
            handler,
            hostname="mail.example.org",
            enable_SMTPUTF8=True,
            tls_context=None if arguments.implicit else context,
            require_starttls=context is not None and not arguments.implicit,
            auth_required=arguments.login is not None,
            auth_require_tls=not arguments.implicit,
            auth_exclude_mechanism=others,
            authenticator=log_in if arguments.login else None,
        )

    tls = context if arguments.implicit else None
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", arguments.port, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


os.umask(0o077)
asyncio.run(main())
