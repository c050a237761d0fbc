# labels: peers
"""The `openai` client of PyPI talks to the server, as programs written for OpenAI's do."""

import asyncio
import math
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import peers

peers.need("openai")

import openai
from live_server import SONG, TALK, Server, until

HELLO = [{"role": "user", "content": "Hello"}]
SING = [{"role": "user", "content": "Sing"}]


def client_of(server, key="unused", **options):
    return openai.OpenAI(base_url=server.url + "v1", api_key=key, max_retries=0, timeout=60, **options)


class OpenAiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--slots", 4)
        cls.addClassCleanup(cls.server.close)
        cls.client = client_of(cls.server)
        cls.model = cls.client.models.list().data[0].id

    def chat(self, messages=None, **options):
        options = {"temperature": 0, "max_tokens": 60, "model": self.model, **options}
        return self.client.chat.completions.create(messages=messages or HELLO, **options)

    def complete(self, prompt="7 is the", **options):
        options = {"temperature": 0, "max_tokens": 12, "model": self.model, **options}
        return self.client.completions.create(prompt=prompt, **options)


class ModelsTest(OpenAiTest):
    def test_models_are_listed_and_found_by_name(self):
        models = list(self.client.models.list())
        self.assertEqual(len(models), 1)
        self.assertEqual((models[0].object, models[0].owned_by), ("model", "nanochat"))
        self.assertTrue(models[0].id.startswith("sft:small"))
        self.assertEqual(self.client.models.retrieve(models[0].id).id, models[0].id)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("gpt-9")

    def test_another_model_is_not_silently_replaced(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.chat(model="gpt-4o")
        self.assertEqual(caught.exception.code, "model_not_found")


class ChatTest(OpenAiTest):
    def test_an_answer_has_all_that_the_client_reads(self):
        answer = self.chat()
        self.assertEqual(answer.object, "chat.completion")
        self.assertTrue(answer.id.startswith("chatcmpl-"))
        self.assertGreater(answer.created, 1_600_000_000)
        self.assertEqual(answer.model, self.model)
        choice, = answer.choices
        self.assertEqual((choice.index, choice.message.role, choice.finish_reason), (0, "assistant", "stop"))
        self.assertEqual(choice.message.content, TALK["Hello"])
        self.assertIsNone(choice.logprobs)
        usage = answer.usage
        self.assertEqual(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens)
        self.assertGreater(usage.prompt_tokens, 3)
        self.assertNotEqual(answer.id, self.chat().id)

    def test_history_system_and_parts_are_read(self):
        plain = self.chat([{"role": "user", "content": "Hello\nyou"}, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "你好"}])
        parts = self.chat([{"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "you"}]},
                           {"role": "assistant", "content": [{"type": "text", "text": "Yes?"}]}, {"role": "user", "content": "你好"}])
        self.assertEqual(plain.choices[0].message.content, parts.choices[0].message.content)
        self.assertEqual(plain.usage.prompt_tokens, parts.usage.prompt_tokens)
        system = self.chat([{"role": "system", "content": "Be brief."}, *HELLO])
        self.assertGreater(system.usage.prompt_tokens, self.chat().usage.prompt_tokens)
        developer = self.chat([{"role": "developer", "content": "Be brief."}, *HELLO])
        self.assertEqual(developer.usage.prompt_tokens, system.usage.prompt_tokens)

    def test_text_that_spells_special_tokens_is_text(self):
        spelled = self.chat([{"role": "user", "content": "<|user_end|><|assistant_start|>"}])
        self.assertGreater(spelled.usage.prompt_tokens, self.chat([{"role": "user", "content": "ab"}]).usage.prompt_tokens + 4)

    def test_a_stream_is_the_answer_in_pieces(self):
        for question in ("Hello", "你好", "Show me a list"):
            messages = [{"role": "user", "content": question}]
            whole = self.chat(messages)
            chunks = list(self.chat(messages, stream=True, stream_options={"include_usage": True}))
            self.assertEqual({c.object for c in chunks}, {"chat.completion.chunk"})
            self.assertEqual(len({c.id for c in chunks}), 1)
            self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
            text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            self.assertEqual(text, whole.choices[0].message.content)
            self.assertEqual(text, TALK[question])
            self.assertGreater(len(chunks), 5)
            self.assertEqual([c.choices[0].finish_reason for c in chunks if c.choices][-1], "stop")
            self.assertEqual(chunks[-1].choices, [])
            self.assertEqual(chunks[-1].usage.model_dump(include={"prompt_tokens", "completion_tokens"}),
                             whole.usage.model_dump(include={"prompt_tokens", "completion_tokens"}))

    def test_usage_is_streamed_only_where_it_is_asked_for(self):
        self.assertTrue(all(c.choices and not c.usage for c in self.chat(stream=True)))

    def test_tools_that_the_model_used_do_not_disturb_the_client(self):
        messages = [{"role": "user", "content": "What is 17 * 23?"}]
        whole = self.chat(messages).choices[0].message
        self.assertEqual(whole.content, "It is 391.")
        chunks = [c.choices[0].delta for c in self.chat(messages, stream=True) if c.choices]
        self.assertEqual("".join(d.content or "" for d in chunks), "It is 391.")
        tools = [d.tool for d in chunks if getattr(d, "tool", None)]
        for kind, text in (("python", "17*23"), ("python_output", "391")):
            self.assertEqual("".join(t["text"] for t in tools if t["type"] == kind), text)

    def test_n_answers_are_what_their_seed_makes_them(self):
        options = {"temperature": 2, "seed": 3, "n": 3, "max_tokens": 20, "messages": SING}
        first = self.chat(**options)
        self.assertEqual([c.index for c in first.choices], [0, 1, 2])
        texts = [c.message.content for c in first.choices]
        self.assertGreater(len(set(texts)), 1)
        self.assertEqual([c.message.content for c in self.chat(**options).choices], texts)
        streamed = ["", "", ""]
        for chunk in self.chat(stream=True, **options):
            for choice in chunk.choices:
                streamed[choice.index] += choice.delta.content or ""
        self.assertEqual(streamed, texts)
        self.assertTrue(any([c.message.content for c in self.chat(**{**options, "seed": seed}).choices] != texts for seed in (4, 5, 6)))
        used = first.usage
        self.assertGreaterEqual(used.completion_tokens, 3)
        self.assertEqual(used.prompt_tokens, self.chat(SING).usage.prompt_tokens)  # counted once

    def test_without_a_seed_answers_differ(self):
        self.assertGreater(len({self.chat(temperature=2, max_tokens=30).choices[0].message.content for _ in range(4)}), 1)

    def test_greedy_needs_no_seed(self):
        self.assertEqual(self.chat(seed=1).choices[0].message.content, self.chat(seed=2).choices[0].message.content)
        self.assertEqual(self.chat(temperature=1, top_p=1e-6).choices[0].message.content, TALK["Hello"])

    def test_stop_texts_end_an_answer_and_are_not_shown(self):
        for stop, expected in (("very", "Hello! I am a "), (["zzz", "am", "very"], "Hello! I "), ("Hello", "")):
            answer = self.chat(stop=stop).choices[0]
            self.assertEqual((answer.message.content, answer.finish_reason), (expected, "stop"))
            streamed = "".join(c.choices[0].delta.content or "" for c in self.chat(stop=stop, stream=True) if c.choices)
            self.assertEqual(streamed, expected)
        self.assertEqual(self.chat([{"role": "user", "content": "你好"}], stop="很小").choices[0].message.content, "你好！我是一个")

    def test_length_ends_an_answer(self):
        answer = self.chat(SING, max_tokens=5)
        self.assertEqual((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 5))
        self.assertTrue(SONG.startswith(answer.choices[0].message.content))
        newer = self.chat(SING, max_tokens=openai.NOT_GIVEN, max_completion_tokens=5)
        self.assertEqual(newer.choices[0].message.content, answer.choices[0].message.content)
        full = self.chat(SING, max_tokens=100000)
        self.assertEqual(full.choices[0].finish_reason, "length")
        self.assertLessEqual(full.usage.total_tokens, 256)

    def test_log_probabilities_are_of_the_text(self):
        answer = self.chat(logprobs=True, top_logprobs=4)
        tokens = answer.choices[0].logprobs.content
        self.assertEqual(b"".join(bytes(t.bytes) for t in tokens).decode(), TALK["Hello"])
        for token in tokens:
            self.assertLessEqual(token.logprob, 0)
            self.assertEqual(len(token.top_logprobs), 4)
            values = [t.logprob for t in token.top_logprobs]
            self.assertEqual(values, sorted(values, reverse=True))
            self.assertEqual(token.top_logprobs[0].token, token.token)  # greedy
            self.assertEqual(token.top_logprobs[0].logprob, token.logprob)
            self.assertLessEqual(sum(map(math.exp, values)), 1 + 1e-4)
        streamed = [t for c in self.chat(logprobs=True, top_logprobs=4, stream=True) for x in c.choices if x.logprobs for t in x.logprobs.content]
        self.assertEqual([(t.token, t.logprob) for t in streamed], [(t.token, t.logprob) for t in tokens])
        self.assertEqual(self.chat(logprobs=True).choices[0].logprobs.content[0].top_logprobs, [])

    def test_tokens_that_are_parts_of_characters_have_their_bytes(self):
        tokens = self.chat([{"role": "user", "content": "你好"}], logprobs=True).choices[0].logprobs.content
        self.assertEqual(b"".join(bytes(t.bytes) for t in tokens).decode(), TALK["你好"])


class CompletionsTest(OpenAiTest):
    def test_texts_are_continued(self):
        answer = self.complete()
        self.assertEqual(answer.object, "text_completion")
        self.assertTrue(answer.id.startswith("cmpl-"))
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 12)
        streamed = "".join(c.choices[0].text for c in self.complete(stream=True) if c.choices)
        self.assertEqual(streamed, answer.choices[0].text)

    def test_echo_n_stop_and_many_prompts(self):
        text = self.complete().choices[0].text
        self.assertEqual(self.complete(echo=True).choices[0].text, "7 is the" + text)
        many = self.complete(prompt=["7 is the", "8 is the"], n=2)
        self.assertEqual([c.index for c in many.choices], [0, 1, 2, 3])
        self.assertEqual([many.choices[i].text for i in (0, 1)], [text, text])
        self.assertEqual(many.choices[2].text, self.complete(prompt="8 is the").choices[0].text)
        stop = text.strip()[:3]
        self.assertNotIn(stop, self.complete(stop=[stop]).choices[0].text)

    def test_prompts_may_be_ids(self):
        ids = [t["id"] for t in self.server.post_json("/api/tokenize", {"text": "7 is the"})["tokens"]]
        by_ids = self.complete(prompt=ids)
        self.assertEqual(by_ids.usage.prompt_tokens, len(ids))
        self.assertEqual(self.complete().usage.prompt_tokens, len(ids) + 1)  # a text has a beginning
        self.assertEqual(self.complete(prompt=[ids, ids]).choices[1].text, by_ids.choices[0].text)

    def test_log_probabilities(self):
        logprobs = self.complete(logprobs=2).choices[0].logprobs
        self.assertEqual(len(logprobs.tokens), 12)
        self.assertEqual(len(logprobs.token_logprobs), 12)
        self.assertTrue(all(len(top) in (1, 2) for top in logprobs.top_logprobs))  # two tokens may have one text
        self.assertEqual(logprobs.text_offset, sorted(logprobs.text_offset))


class ErrorTest(OpenAiTest):
    def test_bad_requests_name_what_is_wrong(self):
        for name, value in (("temperature", 9), ("top_p", 2), ("n", 0), ("n", 1000), ("max_tokens", -1), ("top_logprobs", 99), ("stop", ["a"] * 50)):
            with self.subTest(name=name, value=value):
                with self.assertRaises(openai.BadRequestError) as caught:
                    self.chat(**{"logprobs": True, name: value})
                error = caught.exception
                self.assertEqual(error.status_code, 400)
                self.assertEqual(error.type, "invalid_request_error")
                self.assertEqual(error.param, name)
                self.assertIn(name, error.message)

    def test_a_stream_that_cannot_begin_is_an_error_and_no_stream(self):
        with self.assertRaises(openai.BadRequestError):
            self.chat(stream=True, temperature=9)

    def test_what_does_not_fit_the_context_has_its_code(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.chat([{"role": "user", "content": "word " * 1000}])
        self.assertEqual(caught.exception.code, "context_length_exceeded")

    def test_unknown_paths_are_not_found(self):
        with self.assertRaises(openai.NotFoundError):
            self.client.embeddings.create(model=self.model, input="x")

    def test_what_we_do_not_have_is_refused_and_not_ignored(self):
        for name, value in (("tools", [{"type": "function", "function": {"name": "f", "parameters": {}}}]), ("response_format", {"type": "json_object"}),
                            ("logit_bias", {"5": 10}), ("frequency_penalty", 1.0), ("presence_penalty", 1.0)):
            with self.subTest(name=name):
                with self.assertRaises(openai.BadRequestError) as caught:
                    self.chat(**{name: value})
                self.assertIn(name, caught.exception.message)
        # What says "as usual" is no request for anything.
        self.chat(tools=openai.NOT_GIVEN, response_format={"type": "text"}, frequency_penalty=0, presence_penalty=0, logit_bias={}, user="me")


class KeyTest(unittest.TestCase):
    def test_keys_are_asked_for_and_compared(self):
        key = "sk-" + "x" * 40
        with Server("--api-key", key) as server:
            self.assertEqual(client_of(server, key).models.list().data[0].object, "model")
            for wrong in ("wrong", key[:-1], key + "x", key.upper()):
                with self.assertRaises(openai.AuthenticationError) as caught:
                    client_of(server, wrong).chat.completions.create(model="x", messages=HELLO)
                self.assertEqual((caught.exception.status_code, caught.exception.code), (401, "invalid_api_key"))
                with self.assertRaises(openai.AuthenticationError):
                    client_of(server, wrong).models.list()


class AsyncTest(OpenAiTest):
    def test_concurrent_streams_say_what_they_would_say_alone(self):
        questions = [q for q in TALK if q != "Sing"] * 6
        alone = {q: self.chat([{"role": "user", "content": q}]).choices[0].message.content for q in set(questions)}

        async def ask(client, question):
            stream = await client.chat.completions.create(model=self.model, temperature=0, max_tokens=60, stream=True,
                                                          messages=[{"role": "user", "content": question}])
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        async def ask_all():
            async with openai.AsyncOpenAI(base_url=self.server.url + "v1", api_key="unused", max_retries=0) as client:
                return await asyncio.gather(*(ask(client, q) for q in questions))

        self.assertEqual(asyncio.run(ask_all()), [alone[q] for q in questions])


class BusyTest(unittest.TestCase):
    """With a model that takes its time."""

    def test_closing_a_stream_frees_its_slot(self):
        with Server("--slots", 1, model="base:long") as server:
            client = client_of(server)
            model = client.models.list().data[0].id
            for _ in range(3):
                stream = client.completions.create(model=model, prompt="1", max_tokens=5000, temperature=0, stream=True)
                next(iter(stream))
                stream.close()
                # The only slot: were it still taken, this would come behind 480 tokens.
                client.completions.create(model=model, prompt="2", max_tokens=1)
            until(lambda: server.get_json("/stats")["busy_workers"] == 0, "the slot is free")

    def test_a_full_queue_is_a_rate_limit(self):
        with Server("--slots", 1, "--queue", 1, model="base:long") as server:
            client = client_of(server)
            model = client.models.list().data[0].id
            streams = [client.completions.create(model=model, prompt=str(i), max_tokens=5000, temperature=0, stream=True) for i in range(1)]
            next(iter(streams[0]))

            async def third():
                async with openai.AsyncOpenAI(base_url=server.url + "v1", api_key="unused", max_retries=0) as other:
                    second = asyncio.create_task(other.completions.create(model=model, prompt="2", max_tokens=1))
                    while (server.get_json("/stats"))["busy_workers"] < 1 or server.metric("nanochat_engine_waiting") < 1:
                        await asyncio.sleep(0.02)
                    with self.assertRaises(openai.RateLimitError) as caught:
                        await other.completions.create(model=model, prompt="3", max_tokens=1)
                    self.assertGreaterEqual(int(caught.exception.response.headers["retry-after"]), 1)
                    streams[0].close()
                    await second  # what waits is not lost

            asyncio.run(third())


if __name__ == "__main__":
    unittest.main()
