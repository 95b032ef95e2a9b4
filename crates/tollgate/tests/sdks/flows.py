"""The official SDKs of OpenAI, Anthropic and Google through the gateway: only base URL and key differ.

Arguments: the gateway's URL and a JSON object with one key for each purpose: `good`, `poor` (a hard
budget of nothing), `narrow` (no model granted), `slow` (its one request an hour is used up here).
Every line it prints is something that was seen to hold; anything else ends it with a traceback.
"""

import asyncio
import json
import sys

import anthropic
import openai
from google import genai
from google.genai import errors, types

GATEWAY, KEYS = sys.argv[1], json.loads(sys.argv[2])
SAID = "A toll gate stands on the road."
HELLO = [{"role": "user", "content": "hello"}]


def holds(what, is_so):
    assert is_so, what
    print(what)


def raises(what, expected, status, act):
    try:
        act()
    except expected as error:
        found = getattr(error, "status_code", None) or getattr(error, "code", None)
        assert found == status, f"{what}: {found} is not {status}: {error}"
        print(f"{what}: {type(error).__name__} {status}")
        return error
    raise AssertionError(f"{what}: nothing was raised")


# --- OpenAI


def an_openai(key):
    return openai.OpenAI(base_url=f"{GATEWAY}/openai/v1", api_key=key, max_retries=0)


def openai_flows():
    client = an_openai(KEYS["good"])
    chat = client.chat.completions
    answer = chat.create(model="gpt-5-mini", messages=HELLO)
    holds("openai: chat", answer.choices[0].message.content == SAID and answer.usage.total_tokens == 28)

    chunks = list(chat.create(model="gpt-5-mini", messages=HELLO, stream=True))
    holds("openai: streamed chat", "".join(c.choices[0].delta.content or "" for c in chunks) == SAID)
    holds("openai: usage that was not asked for is not shown", all(c.choices and not c.usage for c in chunks))
    options = {"include_usage": True}
    chunks = list(chat.create(model="gpt-5-mini", messages=HELLO, stream=True, stream_options=options))
    holds("openai: usage that was asked for is shown", chunks[-1].usage.total_tokens == 28)

    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    asked = chat.create(model="gpt-5-mini", messages=HELLO, tools=tools).choices[0].message
    call = asked.tool_calls[0]
    holds("openai: a tool is called", json.loads(call.function.arguments) == {"city": "Berne"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    again = chat.create(model="gpt-5-mini", messages=[*HELLO, asked, result], tools=tools)
    holds("openai: and its result used", again.choices[0].message.content == SAID)
    with chat.stream(model="gpt-5-mini", messages=HELLO, tools=tools) as stream:
        final = stream.get_final_completion().choices[0].message
    holds("openai: a streamed tool call", final.tool_calls[0].function.name == "weather")

    answer = client.responses.create(model="gpt-5-mini", input="hello")
    holds("openai: responses", answer.output_text == SAID and answer.usage.output_tokens == 7)
    events = list(client.responses.create(model="gpt-5-mini", input="hello", stream=True))
    holds("openai: streamed responses", events[-1].response.usage.total_tokens == 28)
    vectors = client.embeddings.create(model="text-embedding-3-small", input="hello", encoding_format="float")
    holds("openai: embeddings", vectors.data[0].embedding == [0.25, -0.5, 0.125])
    names = {model.id for model in client.models.list()}
    holds("openai: the list has what the key may use", names == {"gpt-5-mini", "text-embedding-3-small"})

    raw = chat.with_raw_response.create(model="gpt-5-mini", messages=HELLO)
    holds("openai: the cost is told", float(raw.headers["x-tollgate-cost"].split()[0]) > 0)

    def ask(key, model="gpt-5-mini"):
        return lambda: an_openai(key).chat.completions.create(model=model, messages=HELLO)

    unknown = KEYS["good"][:-1] + ("a" if KEYS["good"][-1] != "a" else "b")
    raises("openai: another key", openai.AuthenticationError, 401, ask(unknown))
    error = raises("openai: no money", openai.APIStatusError, 402, ask(KEYS["poor"]))
    holds("openai: its code", error.code == "budget_exhausted")
    error = raises("openai: no model", openai.PermissionDeniedError, 403, ask(KEYS["narrow"]))
    holds("openai: its code", error.code == "model_not_allowed")
    error = raises("openai: no price", openai.PermissionDeniedError, 403, ask(KEYS["good"], "gpt-unheard-of"))
    holds("openai: its code", error.code == "unpriceable")
    ask(KEYS["slow"])()
    raises("openai: too often", openai.RateLimitError, 429, ask(KEYS["slow"]))


async def openai_async():
    url = f"{GATEWAY}/openai/v1"
    client = openai.AsyncOpenAI(base_url=url, api_key=KEYS["good"], max_retries=0)
    asks = [client.chat.completions.create(model="gpt-5-mini", messages=HELLO) for _ in range(20)]
    answers = await asyncio.gather(*asks)
    holds("openai: twenty at once", all(a.choices[0].message.content == SAID for a in answers))


# --- Anthropic


def an_anthropic(key):
    return anthropic.Anthropic(base_url=f"{GATEWAY}/anthropic", api_key=key, max_retries=0)


def anthropic_flows():
    client = an_anthropic(KEYS["good"])
    common = {"model": "claude-haiku-4-5", "max_tokens": 50}
    answer = client.messages.create(messages=HELLO, **common)
    holds("anthropic: messages", answer.content[0].text == SAID and answer.usage.output_tokens == 7)
    with client.messages.stream(messages=HELLO, **common) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    holds("anthropic: streamed messages", text == SAID and final.usage.cache_read_input_tokens == 8)

    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    asked = client.messages.create(messages=HELLO, tools=tools, **common)
    holds("anthropic: a tool is called", asked.content[0].input == {"city": "Berne"})
    result = {"type": "tool_result", "tool_use_id": asked.content[0].id, "content": "rain"}
    turns = [*HELLO, {"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    again = client.messages.create(messages=turns, tools=tools, **common)
    holds("anthropic: and its result used", again.content[0].text == SAID)
    with client.messages.stream(messages=HELLO, tools=tools, **common) as stream:
        final = stream.get_final_message()
    holds("anthropic: a streamed tool call", final.content[0].input == {"city": "Berne"})
    names = {model.id for model in client.models.list()}
    holds("anthropic: the list has what the key may use", names == {"claude-haiku-4-5"})

    def ask(key):
        return lambda: an_anthropic(key).messages.create(messages=HELLO, **common)

    raises("anthropic: no key at all", anthropic.AuthenticationError, 401, ask("sk-none"))
    raises("anthropic: no money", anthropic.PaymentRequiredError, 402, ask(KEYS["poor"]))
    error = raises("anthropic: no model", anthropic.PermissionDeniedError, 403, ask(KEYS["narrow"]))
    holds("anthropic: its code", error.body["error"]["code"] == "model_not_allowed")
    raises("anthropic: too often", anthropic.RateLimitError, 429, ask(KEYS["slow"]))


# --- Gemini


def a_gemini(key, version="v1beta"):
    options = types.HttpOptions(base_url=f"{GATEWAY}/gemini", api_version=version)
    return genai.Client(api_key=key, http_options=options)


def gemini_flows():
    model = "gemini-2.5-flash"
    for version in ["v1beta", "v1"]:
        client = a_gemini(KEYS["good"], version)
        answer = client.models.generate_content(model=model, contents="hello")
        holds(f"gemini {version}: content", answer.text == SAID and answer.usage_metadata.total_token_count == 28)
        parts = list(client.models.generate_content_stream(model=model, contents="hello"))
        holds(f"gemini {version}: streamed content", "".join(part.text for part in parts) == SAID)

    def weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    client = a_gemini(KEYS["good"])
    config = types.GenerateContentConfig(tools=[weather])
    answer = client.models.generate_content(model=model, contents="hello", config=config)
    calls = [part for turn in answer.automatic_function_calling_history for part in turn.parts if part.function_call]
    holds("gemini: a tool is called and its result used", len(calls) == 1 and answer.text == SAID)
    names = {found.name for found in client.models.list()}
    holds("gemini: the list has what the key may use", names == {"models/gemini-2.5-flash"})

    def ask(key):
        # A client that nothing holds closes itself.
        asking = a_gemini(key)
        return lambda: asking.models.generate_content(model=model, contents="hello")

    raises("gemini: no key at all", errors.ClientError, 401, ask("AIza-none"))
    error = raises("gemini: no money", errors.ClientError, 402, ask(KEYS["poor"]))
    holds("gemini: its status", error.status == "RESOURCE_EXHAUSTED")
    raises("gemini: no model", errors.ClientError, 403, ask(KEYS["narrow"]))
    raises("gemini: too often", errors.ClientError, 429, ask(KEYS["slow"]))


openai_flows()
asyncio.run(openai_async())
anthropic_flows()
gemini_flows()
