"""OpenAI's own Python client against the gateway. Usage: openai_client.py BASE_URL [--echo]

The secret comes from OPENCLAW_GATEWAY_TOKEN. With --echo no provider is configured and the
embedded model must repeat what was said; without, the model `scripted/script` asks for tools and
a real model makes embeddings.
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

answer = client.responses.create(model="openclaw", input=messages[0]["content"])
# The tiny model may run out of tokens; whatever it says counts.
ends = ("completed", "incomplete")
assert answer.status in ends and answer.output_text.strip(), answer
assert not echo or word in answer.output_text, answer.output_text
print(f"  responses: {answer.status}, {answer.output_text[:60]!r}")

kinds, parts = [], []
for event in client.responses.create(model="openclaw", input=messages[0]["content"], stream=True):
    kinds.append(event.type)
    if event.type == "response.output_text.delta":
        parts.append(event.delta)
assert kinds[0] == "response.created" and kinds[-1] in [f"response.{end}" for end in ends], kinds
assert "".join(parts).strip(), kinds
print(f"  responses, streamed: {len(kinds)} events, {''.join(parts)[:60]!r}")

follow = client.responses.create(model="openclaw", input="And another?", previous_response_id=answer.id)
assert follow.status in ends, follow
print("  responses, continued:", follow.id != answer.id)


def scripted():
    """What a model that asks for tools makes of them."""
    script = {"x-openclaw-model": "scripted/script"}
    function = {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }
    said = [{"role": "user", "content": "What is the weather?"}]
    asked = client.chat.completions.create(
        model="openclaw", messages=said, extra_headers=script,
        tools=[{"type": "function", "function": function}],
    ).choices[0]
    assert asked.finish_reason == "tool_calls", asked
    (call,) = asked.message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Oslo"}, call
    said += [asked.message.model_dump(exclude_none=True),
             {"role": "tool", "tool_call_id": call.id, "content": "sleet"}]
    told = client.chat.completions.create(model="openclaw", messages=said, extra_headers=script)
    assert "sleet" in told.choices[0].message.content, told
    print("  the caller's tool:", told.choices[0].message.content)

    asked = client.responses.create(
        model="openclaw", input="What is the weather?", extra_headers=script,
        tools=[{"type": "function", **function}],
    )
    (call,) = [item for item in asked.output if item.type == "function_call"]
    told = client.responses.create(
        model="openclaw", previous_response_id=asked.id, extra_headers=script,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sun"}],
    )
    assert "sun" in told.output_text, told
    print("  the caller's tool, by responses:", told.output_text)

    said = [{"role": "user", "content": "Please look into the notes."}]
    turn = client.chat.completions.create(model="openclaw", messages=said, extra_headers=script)
    text = turn.choices[0].message.content
    assert "ten green bottles" in text and "lines: 2" in text, text
    print("  read and exec:", text)

    for form in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
        made = client.embeddings.create(model="openclaw", input=["sea", "river"], **form)
        assert len(made.data) == 2, made
        if form.get("encoding_format") != "base64":
            assert len(made.data[0].embedding) > 100, made
    print(f"  embeddings: {len(made.data)} of {len(made.data[0].embedding)}")


if not echo:
    scripted()

try:
    openai.OpenAI(base_url=f"{base}/v1", api_key="wrong", max_retries=0).models.list()
except openai.AuthenticationError as error:
    print("  wrong secret:", error.status_code)
else:
    sys.exit("a wrong secret was accepted")
