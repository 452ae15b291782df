"""A small DNS server on loopback, UDP and TCP, with misbehaving names."""

import socketserver
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from bench.ports import free_port

Zone = dict[str, list[str]]  # name → "A 192.0.2.1", "CNAME other.example.", "SILENT", "SILENT AAAA", …


class NameServer:
    """Answers from `zone`, which a test may change; counts the queries by name and type."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.questions: Counter[tuple[str, str]] = Counter()
        self.by_tcp = 0
        self.ended = threading.Event()

    def reply(self, wire: bytes, *, is_tcp: bool = False) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = (
            question.name.to_text(omit_final_dot=True).lower(),
            dns.rdatatype.to_text(question.rdtype),
        )
        self.questions[name, kind] += 1
        self.by_tcp += is_tcp
        records = self.zone.get(name)
        if records is None:
            return self._empty(query, dns.rcode.NXDOMAIN)
        if "SILENT" in records or f"SILENT {kind}" in records:
            return None
        if "SERVFAIL" in records:
            return self._empty(query, dns.rcode.SERVFAIL)
        if "GARBAGE" in records:
            return b"\x00" * 7
        if "LIES" in records:  # replies for another name and with another id
            answer = self._answer(query, "else.example", kind, ["A 192.0.2.99", "AAAA 2001:db8::99"])
            answer.id = query.id ^ 1
            return answer.to_wire()
        answer = self._answer(query, name, kind, records)
        if "TRUNCATED" in records and not is_tcp:
            answer.answer.clear()
            answer.flags |= dns.flags.TC
        return answer.to_wire(max_size=65535)

    def _empty(self, query: dns.message.Message, code: dns.rcode.Rcode) -> bytes:
        answer = dns.message.make_response(query)
        answer.set_rcode(code)
        return answer.to_wire()

    def _answer(
        self, query: dns.message.Message, name: str, kind: str, records: list[str]
    ) -> dns.message.Message:
        answer = dns.message.make_response(query, recursion_available=True)
        while alias := next((text[6:] for text in records if text.startswith("CNAME ")), None):
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", alias))
            name = alias.removesuffix(".")
            records = self.zone.get(name, [])
            if len(answer.answer) > 40:
                break
        found = [text.partition(" ")[2] for text in records if text.startswith(f"{kind} ")]
        if found:
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, *found))
        return answer


def _handler(server: NameServer) -> type[socketserver.BaseRequestHandler]:
    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, sock = self.request
            if (reply := server.reply(wire)) is not None:
                sock.sendto(reply, self.client_address)

    return Udp


def _tcp_handler(server: NameServer) -> type[socketserver.StreamRequestHandler]:
    class Tcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            length = int.from_bytes(self.rfile.read(2))
            if (reply := server.reply(self.rfile.read(length), is_tcp=True)) is not None:
                self.wfile.write(len(reply).to_bytes(2) + reply)

    return Tcp


@contextmanager
def running(zone: Zone) -> Iterator[tuple[NameServer, str]]:
    """Yield a name server and its address in the format of URL_NAME_SERVERS."""
    server = NameServer(zone)
    port = free_port()
    with (
        socketserver.ThreadingUDPServer(("127.0.0.1", port), _handler(server)) as udp,
        socketserver.ThreadingTCPServer(("127.0.0.1", port), _tcp_handler(server)) as tcp,
    ):
        for each in (udp, tcp):
            each.daemon_threads = True
            threading.Thread(target=each.serve_forever, daemon=True).start()
        try:
            yield server, f"127.0.0.1#{port}"
        finally:
            udp.shutdown()
            tcp.shutdown()
