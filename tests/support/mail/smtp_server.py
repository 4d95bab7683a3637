"""A mail server on loopback with STARTTLS and log-in, which prints what it is sent, one JSON object a line.

smtp_server.py CERTIFICATE KEY USER PASSWORD. Recipients choose how they are answered: busy@… 451 the
first time, never@… 550, late@… is taken and never answered.
"""
import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

certificate, key, user, password = sys.argv[1:]
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
seen = set()


def say(**what):
    print(json.dumps(what), flush=True)


def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (user.encode(), password.encode())
    return AuthResult(success=good, handled=good)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never@"):
            say(refused=address)
            return "550 5.1.1 no such guest"
        if address.startswith("busy@") and address not in seen:
            seen.add(address)
            say(deferred=address)
            return "451 4.7.1 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}
        parts = {kind: part if isinstance(part, str) else part.decode() for kind, part in parts.items()}
        calendar = [part for part in message.walk() if part.get_content_type() == "text/calendar"]
        say(
            to=envelope.rcpt_tos,
            envelope_from=envelope.mail_from,
            headers={name: str(value) for name, value in message.items()},
            parts=parts,
            calendar_method=calendar[0].get_param("method") if calendar else None,
            encrypted=session.ssl is not None,
            user=session.login_data.decode() if isinstance(session.login_data, bytes) else bool(session.authenticated),
        )
        if envelope.rcpt_tos[0].startswith("late@"):
            await asyncio.sleep(3600)
        return "250 OK"


async def main():
    loop = asyncio.get_running_loop()
    make = lambda: SMTP(
        Handler(), hostname="mail.test", tls_context=tls, require_starttls=True, auth_required=True,
        authenticator=authenticate, loop=loop,
    )
    server = await loop.create_server(make, "127.0.0.1", 0)
    say(port=server.sockets[0].getsockname()[1])
    await server.serve_forever()


asyncio.run(main())
