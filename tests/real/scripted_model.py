"""A model that does as its script says: asks for tools, then answers with what they gave.

Usage: scripted_model.py PORT. Speaks OpenAI's chat completions as a stream, on the loopback.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def text_of(content):
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])


def next_step(messages):
    """The tool to ask for, as (name, arguments), or the answer."""
    last_user = max(n for n, m in enumerate(messages) if m["role"] == "user")
    said = text_of(messages[last_user]["content"])
    results = [text_of(m["content"]) for m in messages[last_user:] if m["role"] == "tool"]
    if "look into the notes" in said:
        steps = [("read", {"path": "notes.txt"}), ("exec", {"command": "wc -l < notes.txt"})]
        if len(results) < len(steps):
            return steps[len(results)]
        return f"The notes: {results[0].strip()} | lines: {results[1].strip()}"
    if said == "count slowly":
        return " ".join(str(n) for n in range(1, 401))
    if "weather" in said and not results:
        return ("get_weather", {"city": "Oslo"})
    return f"The tool said: {results[-1]}" if results else f"You said: {said}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        body = b'{"object": "list", "data": [{"id": "script", "object": "model"}]}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        ask = json.loads(self.rfile.read(int(self.headers["content-length"])))
        step = next_step(ask["messages"])
        if isinstance(step, tuple):
            function = {"name": step[0], "arguments": json.dumps(step[1])}
            call = {"index": 0, "id": "call_1", "type": "function", "function": function}
            deltas, finish = [{"tool_calls": [call]}], "tool_calls"
        else:
            deltas, finish = [{"content": word} for word in step.split(" ") for word in (word, " ")][:-1], "stop"
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for delta in deltas:
            if isinstance(step, str) and step.startswith("1 2 3 "):
                time.sleep(0.02)
            self.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        self.event({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
        self.event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def event(self, data):
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
