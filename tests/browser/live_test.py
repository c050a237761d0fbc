# labels: browser
"""The page as `nanochat serve` gives it, with models that were really trained: whole conversations,
a training that runs, tokens. What only a made-up answer can show is in the other files."""

import re
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
import live_server
from live_server import TALK, Server
from support import PageTest, expect

# The model knows its answers by heart; without chance it gives them.
GREEDY = "() => localStorage.setItem('nanochat.settings', JSON.stringify({ temperature: 0, max_tokens: 5000 }))"


class LiveTest(PageTest):
    FLAGS = []
    MODEL = "sft:small"

    @classmethod
    def start_server(cls):
        cls.server = Server(*cls.FLAGS, model=cls.MODEL)
        cls.addClassCleanup(cls.server.close)
        return cls.server.url

    def new_page(self, path="", **options):
        page = super().new_page(path, **options)
        page.evaluate(GREEDY)
        page.reload()
        page.locator("body.ready").wait_for()
        return page


class ConversationTest(LiveTest):
    def test_a_conversation_streams_and_is_kept(self):
        page = self.page
        expect(page.locator("#model")).to_contain_text("sft:small")
        answer = self.say("Hello")
        expect(answer.locator(".markdown")).to_have_text(TALK["Hello"])
        expect(answer.locator(".stats")).to_contain_text("tokens/s")
        answer = self.say("What is my name?")
        expect(answer.locator(".markdown")).not_to_be_empty()
        page.reload()
        expect(page.locator(".message")).to_have_count(4)
        expect(page.locator(".assistant").first.locator(".markdown")).to_have_text(TALK["Hello"])
        expect(page.locator("#history a")).to_have_text("Hello")
        self.assertEqual(self.trouble, [])

    def test_answers_are_edited_and_given_again(self):
        page = self.page
        self.say("What is my name?")
        page.locator(".user").first.hover()
        page.locator(".user").first.get_by_role("button", name="Edit").click()
        page.get_by_label("Edit your message").fill("Hello")
        page.keyboard.press("Enter")
        answer = self.wait_answer()
        expect(answer.locator(".markdown")).to_have_text(TALK["Hello"])
        answer.get_by_role("button", name="Answer again").click()
        answer = self.wait_answer()
        expect(answer.get_by_role("group")).to_have_attribute("aria-label", "Version 2 of 2")
        expect(answer.locator(".markdown")).to_have_text(TALK["Hello"])
        page.locator(".user").first.get_by_role("button", name="Previous version").click()
        expect(page.locator(".bubble")).to_have_text("What is my name?")

    def test_the_calculator_is_shown_and_its_call_goes_back_to_the_model(self):
        answer = self.say("What is 17 * 23?")
        expect(answer.locator(".call.sum code")).to_have_text("17*23")
        expect(answer.locator(".call.sum output")).to_have_text("391")
        expect(answer.locator(".markdown").last.locator("p")).to_have_text("391.")  # and no list that begins there
        with self.page.expect_request("**/v1/chat/completions") as asked:
            self.say("Hello")
        self.assertEqual([p["type"] for p in asked.value.post_data_json["messages"][1]["content"]], ["text", "python", "python_output", "text"])
        self.assertEqual(self.trouble, [])

    def test_markdown_and_code_are_drawn(self):
        answer = self.say("Show me a list")
        expect(answer.locator("h2:not(.offscreen)")).to_have_text("A list")
        expect(answer.locator("li strong")).to_have_text("one")
        expect(answer.locator(".hljs-built_in, .hljs-number").first).to_be_visible()
        self.assertEqual(self.trouble, [])

    def test_chinese_and_the_dark(self):
        page = self.new_page(locale="zh-CN", color_scheme="dark")
        answer = self.say("你好", page)
        expect(answer.locator(".markdown")).to_have_text(TALK["你好"])
        answer = self.say("天空为什么是蓝的？", page)
        expect(answer.get_by_role("button", name="重新回答")).to_be_visible()
        self.assertEqual(page.evaluate("() => getComputedStyle(document.body).backgroundColor"), "rgb(27, 28, 30)")
        self.picture("live-dark", page)
        page.reload()
        expect(page.locator(".assistant").first.locator(".markdown")).to_have_text(TALK["你好"])
        self.assertEqual(self.trouble, [])

    def test_what_is_too_long_is_explained(self):
        expect(self.say("word " * 2000).get_by_role("alert")).to_contain_text("longer than the model can read")
        expect(self.say("Sing").locator(".note")).to_contain_text("longest length")  # the context is full

    def test_the_page_is_soon_there(self):
        begun = time.perf_counter()
        page = PageTest.new_page(self)
        expect(page.locator("#input")).to_be_enabled()
        took = time.perf_counter() - begun
        inside, size = page.evaluate("""() => [performance.now(), performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
          .reduce((sum, e) => sum + e.transferSize, 0)]""")
        print(f"\n{size} bytes on the wire; ready after {took:.2f} s, of which a new profile's page took {inside / 1000:.2f} s", end=" ")
        self.assertLess(size, 300000)


class LongTest(LiveTest):
    MODEL = "base:long"
    FLAGS = ["--slots", 1]

    def test_stop_keeps_what_has_come_and_frees_the_slot(self):
        page = self.page
        page.locator("#input").fill("1 2 3")
        page.keyboard.press("Enter")
        expect(page.locator(".answer .markdown")).not_to_be_empty()
        page.get_by_role("button", name="Stop").click()
        answer = self.wait_answer()
        expect(answer.locator(".note")).to_have_text("Stopped.")
        expect(answer.locator(".markdown")).not_to_be_empty()
        live_server.until(lambda: self.server.get_json("/stats")["busy_workers"] == 0, "the slot is free")
        stopped = self.server.metric("nanochat_generated_tokens_total")
        self.assertLess(stopped, 5000)
        page.wait_for_timeout(300)
        self.assertEqual(self.server.metric("nanochat_generated_tokens_total"), stopped)

    def test_leaving_the_page_frees_the_slot(self):
        self.page.locator("#input").fill("1 2 3")
        self.page.keyboard.press("Enter")
        expect(self.page.locator(".answer .markdown")).not_to_be_empty()
        self.page.close()
        live_server.until(lambda: self.server.get_json("/stats")["busy_workers"] == 0, "the slot is free")


class KeyTest(LiveTest):
    FLAGS = ["--api-key", "sesame"]

    def test_a_key_is_asked_for_until_it_is_right(self):
        page = self.page
        page.locator("#input").fill("Hello")
        page.keyboard.press("Enter")
        for key in ("wrong", "sesame"):
            page.get_by_label("Key", exact=True).fill(key)
            page.keyboard.press("Enter")
            if key == "wrong":
                expect(page.get_by_text("That key was not accepted.")).to_be_visible()
        expect(self.wait_answer().locator(".markdown")).to_have_text(TALK["Hello"])
        page.goto(self.url + "#/tokens")
        expect(page.locator(".bars li").first).to_be_visible()
        self.assertEqual(self.trouble, [])


class TokensTest(LiveTest):
    def test_tokens_have_ids_and_every_place_its_probabilities(self):
        page = self.page
        page.goto(self.url + "#/tokens")
        box = page.get_by_label("Text")
        box.fill("7 is the number 你好")
        token = page.locator(".token")
        tokens = self.server.post_json("/api/tokenize", {"text": "7 is the number 你好"})["tokens"]
        expect(token).to_have_count(len(tokens) + 1)
        expect(page.get_by_role("status").filter(has_text="bytes")).to_contain_text(f"{len(tokens)} tokens, 22 bytes")
        for i in (0, 1, len(tokens)):
            with page.expect_response("**/api/next") as response:
                token.nth(i).click()
            seen = response.value.json()
            self.assertEqual(len(seen["top"]), 20)
            if i < len(tokens):
                self.assertEqual(seen["actual"]["id"], tokens[i]["id"])
                self.assertGreaterEqual(seen["actual"]["rank"], 1)
            else:
                self.assertIsNone(seen["actual"])
        expect(page.locator(".bars li")).to_have_count(20)
        page.locator(".bars button").first.click()
        expect(token).to_have_count(len(tokens) + 2)
        self.picture("live-tokens")
        self.assertEqual(self.trouble, [])


class TrainingTest(PageTest):
    """Without a model, while `nanochat train base` runs."""

    @classmethod
    def start_server(cls):
        cls.base = cls.folder / "base"
        (cls.base / "runs").mkdir(parents=True)
        server = Server("--runs", cls.base / "runs", "--base-dir", cls.base, model=None)
        cls.addClassCleanup(server.close)
        return server.url

    def test_a_training_is_followed_while_it_runs(self):
        page = self.page
        expect(page.get_by_text("No runs yet")).to_be_visible()
        texts = self.folder / "numbers.txt"
        texts.write_text("".join(f"{i + 1} is the number after {i}.\n\n" for i in range(3000)))
        words = [live_server.program(), "train", "base", "--base-dir", self.base, "--tokenizer", live_server.models() / "tokenizer/default", "--run", "live",
                 "--data", texts, "--depth", 2, "--sequence-len", 128, "--device-batch-size", 4, "--total-batch-size", 512, "--num-iterations", 100000,
                 "--eval-every", 20, "--eval-tokens", 1024, "--sample-every", 40, "--sample-prompt", "1 is", "--threads", 1, "--quiet"]
        training = subprocess.Popen([str(w) for w in words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            expect(page.get_by_role("checkbox", name="base/live")).to_be_checked(timeout=30000)
            self.assertIsNone(training.poll(), "the training has ended")
            row = page.get_by_role("row", name=re.compile("^base.live"))
            chart = page.get_by_role("img", name="Training loss")
            step = "row => Number(row.querySelector('td').firstChild.textContent.replace(/\\D/g, ''))"
            live_server.until(lambda: row.evaluate(step) > 40, "steps are shown")
            before = row.evaluate(step)
            live_server.until(lambda: row.evaluate(step) > before + 20, "later steps are shown")
            self.assertRegex(chart.get_attribute("aria-label"), r"base/live \d\.\d")
            expect(page.locator(".chip.running")).to_have_count(1)
            expect(page.get_by_role("img", name="bits per byte", exact=False).first).to_be_visible()
            expect(page.locator(".samples li").first).to_contain_text("1 is")
            self.picture("live-training")
        finally:
            training.kill()
            training.communicate()
        expect(page.locator(".chip.running")).to_have_count(0, timeout=10000)
        expect(page.locator(".chip")).to_have_count(1)
        self.assertEqual(self.trouble, [])
        page.goto(self.url + "#/chat")
        expect(page.locator(".welcome")).to_contain_text("No model is loaded")


if __name__ == "__main__":
    unittest.main()
