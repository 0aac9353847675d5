"""OpenAI's own Python client against the gateway. Usage: openai_client.py BASE_URL [--echo]

The secret comes from OPENCLAW_GATEWAY_TOKEN. With --echo no provider is configured and the
embedded model must repeat what was said.
"""

import json
import os
import sys
import urllib.request

import openai

base, echo = sys.argv[1], "--echo" in sys.argv
token = os.environ["OPENCLAW_GATEWAY_TOKEN"]
client = openai.OpenAI(base_url=f"{base}/v1", api_key=token, timeout=120, max_retries=0)
word = "wattle-and-daub"
messages = [{"role": "user", "content": f"Tell me one sentence about {word} walls."}]
ask = {"model": "openclaw/default", "messages": messages}


def check(text, finish, what):
    assert finish in ("stop", "length"), f"{what}: finish_reason {finish!r}"
    assert text.strip(), f"{what}: empty answer"
    assert not echo or word in text, f"{what}: no echo in {text!r}"
    print(f"  {what}: {finish}, {text[:60]!r}")


ids = [model.id for model in client.models.list()]
assert "openclaw/default" in ids, ids
print("  models:", ", ".join(ids))

answer = client.chat.completions.create(**ask).choices[0]
check(answer.message.content or "", answer.finish_reason, "completion")

parts, finish = [], None
for chunk in client.chat.completions.create(**ask, stream=True):
    for choice in chunk.choices:
        if choice.delta.content:
            parts.append(choice.delta.content)
        finish = choice.finish_reason or finish
check("".join(parts), finish, f"stream of {len(parts)} content chunks")

# The client swallows the end marker, so it is looked for on the wire.
request = urllib.request.Request(
    f"{base}/v1/chat/completions",
    json.dumps({**ask, "stream": True}).encode(),
    {"authorization": f"Bearer {token}", "content-type": "application/json"},
)
with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as response:
    kind = response.headers["content-type"]
    lines = [line for line in response.read().decode().splitlines() if line.startswith("data:")]
assert kind.startswith("text/event-stream"), kind
assert lines[-1] == "data: [DONE]", lines[-1]
print(f"  wire: {len(lines)} data lines, the last is [DONE]")

try:
    openai.OpenAI(base_url=f"{base}/v1", api_key="wrong", max_retries=0).models.list()
except openai.AuthenticationError as error:
    print("  wrong secret:", error.status_code)
else:
    sys.exit("a wrong secret was accepted")
