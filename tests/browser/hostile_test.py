# labels: browser
"""Text that means harm: from the model, from what is stored, and from files that are imported."""

import json
import unittest

from mock_server import HOSTILE
from support import BrowserTest, expect

# Elements and attributes that no message may make. (Checked in the page, after drawing.)
FORBIDDEN = """() => [...document.querySelectorAll('#thread *, #history *')].flatMap(node => [
  ...(['SCRIPT', 'IFRAME', 'IMG', 'OBJECT', 'EMBED', 'STYLE', 'FORM', 'LINK', 'META', 'BASE'].includes(node.tagName) ? [node.tagName] : []),
  ...[...node.attributes].filter(a => a.name.startsWith('on') || /^\\s*(javascript|data|vbscript):/i.test(a.value)).map(a => `${node.tagName} ${a.name}=${a.value}`),
])"""

# Puts values into the page's own database, as a damaged profile or another page of this origin might.
PUT = """async values => {
  const open = indexedDB.open('nanochat', 1);
  const db = await new Promise((ok, no) => { open.onsuccess = () => ok(open.result); open.onerror = no; });
  const t = db.transaction(['heads', 'bodies'], 'readwrite');
  for (const value of values) { t.objectStore('heads').put(value.head); t.objectStore('bodies').put(value.body); }
  await new Promise(ok => { t.oncomplete = ok; });
  db.close();
}"""


class HostileTest(BrowserTest):
    def setUp(self):
        super().setUp()
        self.beyond = []  # requests to any other server
        self.page.on("request", lambda r: self.beyond.append(r.url) if not r.url.startswith((self.url, "data:", "blob:")) else None)

    def check_harmless(self):
        self.page.wait_for_timeout(300)
        self.assertIsNone(self.page.evaluate("() => window.pwned ?? null"))
        self.assertEqual(self.page.evaluate(FORBIDDEN), [])
        self.assertEqual(self.beyond, [])
        self.assertEqual([x for x in self.trouble if "Security Policy" in x], [], "the sanitizer let something through to the policy")

    def test_scripts_in_an_answer_are_shown_and_not_run(self):
        answer = self.say("hostile")
        expect(answer).to_contain_text("<script>window.pwned = 1</script>")
        expect(answer.locator("a[href^='https://ok.example']")).to_have_attribute("rel", "noopener noreferrer nofollow")
        self.assertIsNone(answer.locator("a", has_text="a").first.get_attribute("href"))
        for link in answer.locator("a").all():
            link.dispatch_event("click")
        self.picture("hostile")
        self.check_harmless()

    def test_scripts_in_a_question_are_text(self):
        self.say('<img src=x onerror="window.pwned=1">')
        expect(self.page.locator(".bubble")).to_have_text('<img src=x onerror="window.pwned=1">')
        self.check_harmless()

    def test_deep_nesting_falls_back_to_text(self):
        expect(self.say("nested")).to_contain_text("deep")
        self.say("still here")
        self.check_harmless()

    def test_the_policy_is_strict(self):
        policy = self.page.request.get(self.url).headers["content-security-policy"]
        for weak in ("unsafe-inline", "unsafe-eval", "http:", "https:", "*", "blob:"):
            self.assertNotIn(weak, policy)
        html = self.state.files["index.html"].decode()
        self.assertNotRegex(html, r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=")
        ran = self.page.evaluate("""() => { const s = document.createElement('script');
          try { s.textContent = 'window.pwned = 1'; document.body.append(s); } catch {} return window.pwned ?? null; }""")
        self.assertIsNone(ran)

    def test_stored_conversations_are_checked_before_they_are_drawn(self):
        text = [{"type": "text", "text": HOSTILE}]
        title = "<img src=x onerror=window.pwned=1>"
        values = [
            {"id": "hostile0text", "title": title, "created": 1, "updated": 2e12, "system": "", "head": 1, "nodes": [
                {"role": "user", "parent": -1, "parts": text, "at": 1},
                {"role": "assistant", "parent": 0, "parts": [*text, {"type": "python", "text": HOSTILE}, {"type": "python_output", "text": HOSTILE}], "at": 1,
                 "finish": "<script>", "stats": {"speed": "<b>", "tokens": {}}}]},
            {"id": "hostile1loop", "title": "loop", "updated": 2e12, "head": 0, "nodes": [{"role": "user", "parent": 0, "parts": text}]},
            {"id": "hostile2kind", "title": "kinds", "updated": 2e12, "head": 0, "nodes": [{"role": "system", "parent": -1, "parts": [{"type": "html", "text": "x"}]}]},
            {"id": "hostile3none", "title": {"toString": 1}, "updated": "yesterday", "nodes": "many"},
            {"id": "hostile4prot", "title": "proto", "updated": 1e12, "head": 99, "nodes": [{"__proto__": {"role": "user"}, "parent": 0.5, "parts": None}]},
        ]
        self.page.evaluate(PUT, [{"head": {k: v[k] for k in ("id", "title", "updated")}, "body": v} for v in values])
        self.page.evaluate("""() => { localStorage.setItem('nanochat.settings', '{"theme":{"a":1},"temperature":"<b>","seed":-1,"top_k":1e999,"language":"constructor"}');
          localStorage.setItem('nanochat.training', '[[[') }""")
        self.page.reload()
        expect(self.page.locator("#history a")).to_have_count(5)
        self.page.locator("#history a", has_text="onerror").click()
        expect(self.page.locator(".message")).to_have_count(2)
        expect(self.page.locator(".call")).to_have_count(1)
        for title in ("loop", "kinds", "proto"):
            self.page.locator("#history a", has_text=title).click()
            expect(self.page.locator("#toast")).to_contain_text("cannot be read")
        self.say("the page still works")
        self.assertEqual(self.state.requests[-1]["temperature"], 0.8)
        self.assertNotIn("seed", self.state.requests[-1])
        self.page.get_by_role("button", name="More for “loop”").click()
        self.page.get_by_role("menuitem", name="Delete").click()
        expect(self.page.locator("#history a", has_text="loop")).to_have_count(0)
        self.check_harmless()

    def test_broken_storage_is_refused_gently(self):
        self.page.evaluate("() => localStorage.setItem('nanochat.settings', '{{{')")
        self.page.reload()
        self.say("fine")
        self.check_harmless()

    def test_imported_files_are_checked(self):
        def bring(data, says):
            self.page.locator("#open-settings").click()
            self.page.locator("#import-file").set_input_files({"name": "x.json", "mimeType": "application/json", "buffer": data})
            expect(self.page.locator("#toast")).to_contain_text(says)
            self.page.keyboard.press("Escape")

        bring(b"\x00\xff not json", "no conversations that can be read")
        bring(b"[" * 100000, "no conversations that can be read")
        bring(b'{"conversations": {"length": 5}}', "no conversations that can be read")
        good = {"id": "../../etc", "title": HOSTILE[:50], "nodes": [{"role": "user", "parent": -1, "parts": [{"type": "text", "text": HOSTILE}]}]}
        file = {"format": "nanochat-conversations", "version": 1, "conversations": [good, None, 7, {"nodes": [{"role": "tool"}]}]}
        bring(json.dumps(file).encode(), "Imported: 1. Not a conversation: 3")
        self.page.locator("#history a").click()
        expect(self.page.locator(".bubble")).to_contain_text("<script>window.pwned")
        self.check_harmless()


if __name__ == "__main__":
    unittest.main()
