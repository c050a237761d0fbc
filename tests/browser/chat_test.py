# labels: browser
"""A person talks to the page."""

import json
import time
import unittest

from support import BrowserTest, expect


class ChatTest(BrowserTest):
    def test_a_conversation_goes_on_and_on_with_all_that_was_said(self):
        self.say("My name is Ada")
        answer = self.say("What is my name?")
        expect(answer.locator(".markdown")).to_contain_text("You said: What is my name?.")
        expect(answer.locator(".stats")).to_have_text("87.4 tokens/s")
        expect(self.page.locator("#history a")).to_have_text("My name is Ada")
        roles = [m["role"] for m in self.state.requests[-1]["messages"]]
        self.assertEqual(roles, ["user", "assistant", "user"])
        self.assertEqual(self.state.requests[-1]["messages"][1]["content"], "You said: My name is Ada. ")
        self.assertEqual(self.trouble, [])

    def test_markdown_code_and_maths_are_drawn(self):
        answer = self.say("show me markdown")
        expect(answer.locator("h2:not(.offscreen)")).to_have_text("A short tour")
        expect(answer.locator("li .katex")).to_have_count(1)
        expect(answer.locator(".maths-block .katex-display")).to_have_count(1)
        expect(answer.locator(".hljs-keyword").first).to_have_text("def")
        expect(answer.locator("td").first).to_have_text("Earth")
        expect(answer.locator("td").last).to_have_css("text-align", "right")
        expect(answer.locator("ol")).to_have_attribute("start", "3")
        expect(answer.locator("p", has_text="$5 or $10")).to_have_count(1)
        # The policy lets KaTeX place its parts, and its fonts load.
        self.assertTrue(answer.locator(".vlist > span").first.evaluate("node => node.style.top !== ''"))
        self.assertTrue(self.page.evaluate("() => [...document.fonts].some(f => f.family.startsWith('KaTeX') && f.status === 'loaded')"))
        self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        answer.locator(".copy-code").click()
        self.assertIn("def greet(name: str)", self.page.evaluate("() => navigator.clipboard.readText()"))
        self.picture("markdown")
        self.assertEqual(self.trouble, [])

    def test_tools_are_shown_as_calculations_and_sent_back_as_parts(self):
        answer = self.say("calculate 17*23")
        expect(answer.locator(".call.sum code")).to_have_text("17*23")
        expect(answer.locator(".call.sum output")).to_have_text("391")
        answer = self.say("program, please")
        expect(answer.locator(".call.program output")).to_have_text("10")
        self.picture("tools")
        self.assertEqual(self.state.requests[-1]["messages"][1]["content"], [
            {"type": "text", "text": "Let me see: "}, {"type": "python", "text": "17*23"},
            {"type": "python_output", "text": "391"}, {"type": "text", "text": "17 times 23 is **391**."}])

    def test_stop_keeps_what_has_come_and_tells_the_server(self):
        page = self.page
        page.locator("#input").fill("slow")
        page.keyboard.press("Enter")
        expect(page.locator(".answer")).to_contain_text("word5 ")
        page.get_by_role("button", name="Stop").click()
        expect(self.wait_answer().locator(".note")).to_have_text("Stopped.")
        expect(page.locator(".answer")).not_to_contain_text("word399")
        deadline = time.time() + 5
        while not self.state.cancelled and time.time() < deadline:
            page.wait_for_timeout(50)
        self.assertEqual(self.state.cancelled, ["slow"])
        self.assertIn("You said: and now?", self.say("and now?").inner_text())

    def test_the_view_follows_a_growing_answer_unless_one_scrolls_away(self):
        page = self.page
        self.say("show me markdown")  # longer than the window
        scroll = page.locator("#scroll")
        gap = "node => node.scrollHeight - node.scrollTop - node.clientHeight"
        self.assertLess(scroll.evaluate(gap), 5)
        page.locator("#input").fill("slow")
        page.keyboard.press("Enter")
        expect(page.locator(".assistant").last).to_contain_text("word20 ")
        scroll.evaluate("node => node.scrollTo(0, 0)")
        expect(page.locator("#to-bottom")).to_be_visible()
        page.wait_for_timeout(300)
        self.assertEqual(scroll.evaluate("node => node.scrollTop"), 0)
        page.locator("#to-bottom").click()
        self.assertLess(scroll.evaluate(gap), 80)

    def test_an_edited_message_is_answered_anew_and_the_old_version_stays(self):
        page = self.page
        self.say("first question")
        self.say("second question")
        page.locator(".user").first.hover()
        page.locator(".user").first.get_by_role("button", name="Edit").click()
        page.get_by_label("Edit your message").fill("better question")
        page.keyboard.press("Enter")
        expect(self.wait_answer()).to_contain_text("You said: better question.")
        expect(page.locator(".message")).to_have_count(2)
        self.assertEqual(len(self.state.requests[-1]["messages"]), 1)
        page.locator(".user").first.get_by_role("button", name="Previous version").click()
        expect(page.locator(".message")).to_have_count(4)
        expect(page.locator(".assistant").last).to_contain_text("second question")

    def test_regenerate_adds_a_version(self):
        page = self.page
        answer = self.say("again and again")
        answer.get_by_role("button", name="Answer again").click()
        answer = self.wait_answer()
        expect(answer.get_by_role("group")).to_have_attribute("aria-label", "Version 2 of 2")
        self.assertEqual(self.state.requests[0]["messages"], self.state.requests[1]["messages"])
        answer.get_by_role("button", name="Previous version").click()
        expect(page.locator(".versions")).to_have_text("1/2")

    def test_reload_keeps_the_conversation_even_one_half_answered(self):
        page = self.page
        self.say("calculate 17*23")
        page.reload()
        expect(page.locator(".call.sum output")).to_have_text("391")
        page.locator("#input").fill("slow")
        page.keyboard.press("Enter")
        expect(page.locator(".assistant").last).to_contain_text("word90 ")
        page.reload()
        expect(page.locator(".assistant").last).to_contain_text("word1 ")
        expect(page.locator(".assistant").last.locator(".note")).to_contain_text("broke off")
        expect(page.locator(".message")).to_have_count(4)

    def test_an_answer_goes_on_while_another_conversation_is_open(self):
        page = self.page
        page.locator("#input").fill("slow one")
        page.keyboard.press("Enter")
        expect(page.locator(".answer")).to_contain_text("word3 ")
        page.locator("#new-chat").click()
        expect(page.locator(".message")).to_have_count(0)
        self.say("a quick one")
        page.locator("#history a", has_text="slow one").click()
        expect(page.locator(".answer")).to_contain_text("word399", timeout=15000)
        expect(page.locator(".message")).to_have_count(2)

    def test_rename_delete_and_undo(self):
        page = self.page
        self.say("to be renamed")
        more = page.get_by_role("button", name="More for")
        more.click()
        page.get_by_role("menuitem", name="Rename").click()
        page.get_by_label("Title").fill("A better title")
        page.keyboard.press("Enter")
        expect(page.locator("#history a")).to_have_text("A better title")
        self.say("and further")  # must not bring the old title back
        expect(page.locator("#history a")).to_have_text("A better title")
        more.click()
        page.get_by_role("menuitem", name="Delete").click()
        expect(page.locator("#history a")).to_have_count(0)
        expect(page.locator(".message")).to_have_count(0)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator(".message")).to_have_count(4)
        page.reload()
        expect(page.locator("#history a")).to_have_text("A better title")

    def test_what_is_exported_can_be_imported_elsewhere(self):
        page = self.page
        self.say("calculate 17*23")
        page.locator("#new-chat").click()
        self.say("天空为什么是蓝的？")
        page.locator("#open-settings").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Export all").click()
        file = download.value.path()
        self.assertEqual(json.loads(file.read_text())["format"], "nanochat-conversations")
        other = self.new_page()
        other.locator("#open-settings").click()
        other.locator("#import-file").set_input_files({"name": "x.json", "mimeType": "application/json", "buffer": file.read_bytes()})
        expect(other.locator("#toast")).to_contain_text("Imported: 2")
        other.keyboard.press("Escape")
        other.locator("#history a", has_text="calculate").click()
        expect(other.locator(".call.sum output")).to_have_text("391")

    def test_conversations_of_the_command_line_can_be_imported(self):
        lines = [[{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
                 {"messages": [{"role": "user", "content": "Second"}]}]
        data = "\n".join(json.dumps(line) for line in lines).encode()
        self.page.locator("#open-settings").click()
        self.page.locator("#import-file").set_input_files({"name": "x.jsonl", "mimeType": "", "buffer": data})
        self.page.keyboard.press("Escape")
        expect(self.page.locator("#history a")).to_have_count(2)
        self.page.locator("#history a", has_text="Hi").click()
        self.say("next")
        self.assertEqual(self.state.requests[-1]["messages"][0], {"role": "system", "content": "Be brief"})

    def test_settings_are_sent_and_kept(self):
        page = self.page
        page.locator("#open-settings").click()
        page.get_by_label("System prompt").fill("Speak like a pirate")
        page.get_by_label("Temperature").fill("0.3")
        page.get_by_label("Top k").fill("7")
        page.get_by_label("Max tokens").fill("99")
        page.get_by_label("Seed").fill("5")
        page.get_by_role("button", name="Close", exact=True).click()
        page.reload()
        self.say("hello")
        sent = self.state.requests[-1]
        self.assertEqual([sent[k] for k in ("temperature", "top_k", "top_p", "max_tokens", "seed", "stream")], [0.3, 7, 1, 99, 5, True])
        self.assertEqual(sent["messages"][0], {"role": "system", "content": "Speak like a pirate"})
        page.locator("#open-settings").click()
        page.get_by_label("Temperature").fill("3")
        page.keyboard.press("Tab")
        page.keyboard.press("Escape")
        self.say("again")
        self.assertEqual(self.state.requests[-1]["temperature"], 0.3)

    def test_limits_and_silence_are_explained(self):
        expect(self.say("length, please").locator(".note")).to_contain_text("longest length")
        expect(self.say("nothing").locator(".note")).to_contain_text("ended its answer at once")
        self.say("go on")  # neither the empty answer nor its question is sent
        self.assertEqual([m["content"][:6] for m in self.state.requests[-1]["messages"]], ["length", "You sa", "go on"])


class StreamTest(BrowserTest):
    def test_events_survive_any_cut(self):
        stream = 'data: {"a":"天😀"}\n\n: note\r\ndata: two\r\ndata:lines\r\n\r\nevent: x\rdata: old mac\r\rdata: torn'
        seen = self.page.evaluate("""async text => {
          const { events } = await import('/stream.js');
          const bytes = new TextEncoder().encode(text);
          const seen = new Set();
          for (let size = 1; size <= bytes.length; ++size) {
            const body = new ReadableStream({ start(c) { for (let i = 0; i < bytes.length; i += size) c.enqueue(bytes.slice(i, i + size)); c.close(); } });
            const all = [];
            for await (const data of events(body)) all.push(data);
            seen.add(JSON.stringify(all));
          }
          return [...seen];
        }""", stream)
        self.assertEqual([json.loads(x) for x in seen], [['{"a":"天😀"}', "two\nlines", "old mac"]])


class ErrorTest(BrowserTest):
    def test_a_key_is_asked_for_until_it_is_right(self):
        self.state.key = "sesame"
        page = self.page
        page.locator("#input").fill("hello")
        page.keyboard.press("Enter")
        page.get_by_label("Key", exact=True).fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_text("That key was not accepted.")).to_be_visible()
        page.get_by_label("Key", exact=True).fill("sesame")
        page.keyboard.press("Enter")
        expect(self.wait_answer()).to_contain_text("You said: hello")
        page.reload()  # kept for the tab
        self.say("once more")
        self.assertIsNone(page.evaluate("() => localStorage.getItem('nanochat.key')"))

    def test_without_a_key_the_question_stays(self):
        self.state.key = "sesame"
        self.page.locator("#input").fill("hello")
        self.page.keyboard.press("Enter")
        self.page.get_by_role("button", name="Cancel").click()
        expect(self.page.get_by_role("alert")).to_contain_text("does not accept this key")

    def test_a_busy_server_is_tried_again_when_it_said(self):
        answer = self.say("busy")
        expect(answer.get_by_role("alert")).to_contain_text("tried again in 2 s")
        expect(answer.get_by_role("alert")).to_contain_text("The server is busy.Try again", timeout=4000)
        answer.get_by_role("button", name="Try again").click()
        expect(self.wait_answer()).to_contain_text("You said: busy")
        expect(self.page.locator(".message")).to_have_count(2)

    def test_errors_are_told_as_text(self):
        answer = self.say("broken")
        expect(answer.get_by_role("alert")).to_contain_text("out of <b>memory</b>")
        expect(self.say("toolong").get_by_role("alert")).to_contain_text("longer than the model can read")
        answer = self.say("midway failing")
        expect(answer.get_by_role("alert")).to_contain_text("the model stumbled")
        expect(answer).to_contain_text("You said")
        expect(self.say("cutoff").locator(".note")).to_contain_text("broke off")
        self.page.context.set_offline(True)
        expect(self.say("anyone there").get_by_role("alert")).to_contain_text("cannot be reached")
        self.picture("error")


if __name__ == "__main__":
    unittest.main()
