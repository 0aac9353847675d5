"""A WebSocket client of nobody's library: upgrades through whatever listens at ADDRESS, connects,
and prints one line of JSON: {"http": status} or {"hello": auth} or {"error": error}.

Usage: through_proxy.py HOST PORT CLIENT_ID CLIENT_MODE [NAME=VALUE of a header]...
The secret is in the environment: GATEWAY_SECRET, if any."""

import json
import os
import socket
import struct
import sys

host, port, client_id, mode = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
headers = dict(word.split("=", 1) for word in sys.argv[5:])
name = headers.pop("Host", "gateway.example")
lines = [f"GET / HTTP/1.1", f"Host: {name}", "Upgrade: websocket", "Connection: Upgrade",
         "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
lines += [f"{key}: {value}" for key, value in headers.items()]
wire = socket.create_connection((host, port), timeout=20)
wire.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
held = b""


def more():
    global held
    piece = wire.recv(65536)
    if not piece:
        raise SystemExit(json.dumps({"closed": held.decode("latin1")[:200]}))
    held += piece


def frame():
    global held
    while True:
        if len(held) >= 2:
            size, at = held[1] & 127, 2
            if size == 126 and len(held) >= 4:
                size, at = struct.unpack(">H", held[2:4])[0], 4
            elif size == 127 and len(held) >= 10:
                size, at = struct.unpack(">Q", held[2:10])[0], 10
            elif size >= 126:
                more()
                continue
            if len(held) >= at + size:
                kind, body = held[0] & 15, held[at:at + size]
                held = held[at + size:]
                if kind == 1:
                    return json.loads(body)
                raise SystemExit(json.dumps({"closed": kind}))
        more()


while b"\r\n\r\n" not in held:
    more()
head, held = held.split(b"\r\n\r\n", 1)
status = int(head.split()[1])
if status != 101:
    raise SystemExit(print(json.dumps({"http": status})))
assert frame()["event"] == "connect.challenge"
params = {"minProtocol": 4, "maxProtocol": 4, "role": "operator",
          "scopes": ["operator.admin", "operator.read"],
          "client": {"id": client_id, "version": "1", "platform": "linux", "mode": mode}}
if os.environ.get("GATEWAY_SECRET"):
    params["auth"] = {"token": os.environ["GATEWAY_SECRET"]}
text = json.dumps({"type": "req", "id": "1", "method": "connect", "params": params}).encode()
mask = os.urandom(4)
masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
wire.sendall(struct.pack(">BBH", 0x81, 0x80 | 126, len(text)) + mask + masked)
while True:
    answer = frame()
    if answer.get("id") == "1":
        break
if answer["ok"]:
    print(json.dumps({"hello": answer["payload"]["auth"]}))
else:
    print(json.dumps({"error": answer["error"]}))
