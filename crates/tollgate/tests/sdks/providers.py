"""A stand-in for the APIs of OpenAI, Anthropic and Gemini, true to what goes over the wire.

It answers every question with the same words, calls the tool it is offered, streams what it is asked
to stream, tells usage only where the provider would, and refuses with 401 whoever does not show the
provider's own credential. Prints its port, then one line of JSON for each call: what was asked and
what it would have billed.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CREDENTIAL = sys.argv[1]
WORDS = ["A ", "toll ", "gate ", "stands ", "on ", "the ", "road."]
WRITING = threading.Lock()
PROMPT, CACHED, ANSWER, THOUGHTS = 21, 8, 7, 3


def counted_openai():
    return {
        "prompt_tokens": PROMPT,
        "completion_tokens": ANSWER,
        "total_tokens": PROMPT + ANSWER,
        "prompt_tokens_details": {"cached_tokens": CACHED, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def counted_responses():
    return {
        "input_tokens": PROMPT,
        "input_tokens_details": {"cached_tokens": CACHED},
        "output_tokens": ANSWER,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": PROMPT + ANSWER,
    }


def counted_gemini():
    return {
        "promptTokenCount": PROMPT,
        "cachedContentTokenCount": CACHED,
        "candidatesTokenCount": ANSWER - THOUGHTS,
        "thoughtsTokenCount": THOUGHTS,
        "totalTokenCount": PROMPT + ANSWER,
    }


class Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if not self.admitted():
            return
        names = ["gpt-5-mini", "text-embedding-3-small", "o9-forbidden"]
        if self.path.startswith("/v1beta/models"):
            names = ["gemini-2.5-flash", "gemini-forbidden"]
            self.answer({"models": [{"name": f"models/{name}", "displayName": name} for name in names]})
        elif self.headers.get("x-api-key"):
            names = ["claude-haiku-4-5", "forbidden"]
            data = [
                {"type": "model", "id": name, "display_name": name, "created_at": "2025-09-29T00:00:00Z"}
                for name in names
            ]
            self.answer({"data": data, "first_id": names[0], "last_id": names[-1], "has_more": False})
        else:
            data = [{"id": name, "object": "model", "created": 1, "owned_by": "openai"} for name in names]
            self.answer({"object": "list", "data": data})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if not self.admitted():
            return
        asked = json.loads(body)
        path, _, query = self.path.partition("?")
        self.note(path, asked)
        if path == "/v1/chat/completions":
            self.chat(asked)
        elif path == "/v1/responses":
            self.respond(asked)
        elif path == "/v1/embeddings":
            usage = {"prompt_tokens": PROMPT, "total_tokens": PROMPT}
            data = [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125]}]
            self.answer({"object": "list", "data": data, "model": asked["model"], "usage": usage})
        elif path == "/v1/messages":
            self.messages(asked)
        elif path.endswith(":generateContent"):
            self.answer(self.gemini(asked, "".join(WORDS), True))
        elif path.endswith(":streamGenerateContent"):
            parts = [self.gemini(asked, word, word is WORDS[-1]) for word in WORDS]
            if "alt=sse" in query:
                self.stream([f"data: {json.dumps(part)}\r\n\r\n" for part in parts])
            else:
                self.answer(parts)
        else:
            self.answer({"error": {"message": f"no {path} here"}}, 404)

    # --- what providers do

    def admitted(self):
        shown = [
            self.headers.get("authorization", "").removeprefix("Bearer "),
            self.headers.get("x-api-key"),
            self.headers.get("x-goog-api-key"),
        ]
        shown = [one for one in shown if one]
        if shown == [CREDENTIAL]:
            return True
        self.answer({"error": {"message": f"not this provider's credential: {len(shown)} shown"}}, 401)
        return False

    def note(self, path, asked):
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens") or asked.get("max_output_tokens")
        limit = limit or asked.get("generationConfig", {}).get("maxOutputTokens")
        usage = asked.get("stream_options", {}).get("include_usage")
        line = {"path": path, "model": asked.get("model"), "limit": limit, "include_usage": usage}
        with WRITING:
            print(json.dumps(line), flush=True)

    def chat(self, asked):
        base = {"id": "chatcmpl-1", "created": 1, "model": asked["model"]}
        used_tool = any(message["role"] == "tool" for message in asked["messages"])
        if asked.get("tools") and not used_tool:
            call = {"name": "weather", "arguments": '{"city": "Berne"}'}
            call = {"id": "call_1", "type": "function", "function": call}
            message, end = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
        else:
            message, end = {"role": "assistant", "content": "".join(WORDS)}, "stop"
        if not asked.get("stream"):
            choices = [{"index": 0, "message": message, "finish_reason": end, "logprobs": None}]
            whole = base | {"object": "chat.completion", "choices": choices, "usage": counted_openai()}
            return self.answer(whole)
        base["object"] = "chat.completion.chunk"
        deltas = [{"role": "assistant", "content": ""}] + [{"content": word} for word in WORDS]
        if end == "tool_calls":
            deltas = [message | {"tool_calls": [call | {"index": 0}]}]
        chunks = [base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
        chunks.append(base | {"choices": [{"index": 0, "delta": {}, "finish_reason": end}]})
        if asked.get("stream_options", {}).get("include_usage"):
            chunks = [chunk | {"usage": None} for chunk in chunks]
            chunks.append(base | {"choices": [], "usage": counted_openai()})
        self.stream([f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"])

    def respond(self, asked):
        text = {"type": "output_text", "text": "".join(WORDS), "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
        whole = {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": asked["model"],
            "status": "completed",
            "output": [message],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": counted_responses(),
        }
        if not asked.get("stream"):
            return self.answer(whole)
        begun = whole | {"status": "in_progress", "output": [], "usage": None}
        events = [{"type": "response.created", "response": begun, "sequence_number": 0}]
        for number, word in enumerate(WORDS, 1):
            place = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
            delta = {"type": "response.output_text.delta", "delta": word, "sequence_number": number}
            events.append(delta | place)
        events.append({"type": "response.completed", "response": whole, "sequence_number": len(WORDS) + 1})
        self.stream([f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events])

    def messages(self, asked):
        begin = {"input_tokens": PROMPT - CACHED, "cache_creation_input_tokens": 0}
        begin |= {"cache_read_input_tokens": CACHED, "output_tokens": 1}
        last = asked["messages"][-1]["content"]
        used_tool = isinstance(last, list) and any(part["type"] == "tool_result" for part in last)
        if asked.get("tools") and not used_tool:
            block = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Berne"}}
            end, empty = "tool_use", block | {"input": {}}
            deltas = [{"type": "input_json_delta", "partial_json": '{"city": "Berne"}'}]
        else:
            block, end = {"type": "text", "text": "".join(WORDS)}, "end_turn"
            empty, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": word} for word in WORDS]
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": asked["model"],
            "content": [block],
            "stop_reason": end,
            "stop_sequence": None,
            "usage": begin | {"output_tokens": ANSWER},
        }
        if not asked.get("stream"):
            return self.answer(message)
        events = [
            {"type": "message_start", "message": message | {"content": [], "stop_reason": None, "usage": begin}},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "ping"},
            *[{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas],
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": end, "stop_sequence": None},
                "usage": {"output_tokens": ANSWER},
            },
            {"type": "message_stop"},
        ]
        self.stream([f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events])

    def gemini(self, asked, words, is_last):
        used_tool = any("functionResponse" in part for content in asked["contents"] for part in content["parts"])
        part = {"text": words}
        if asked.get("tools") and not used_tool:
            part = {"functionCall": {"name": "weather", "args": {"city": "Berne"}}}
        candidate = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if is_last:
            candidate["finishReason"] = "STOP"
        model = self.path.rpartition("/")[2].partition(":")[0]
        return {"candidates": [candidate], "usageMetadata": counted_gemini(), "modelVersion": model}

    # --- how it is sent

    def answer(self, document, status=200):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            event = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Provider)
print(server.server_port, flush=True)
server.serve_forever()
