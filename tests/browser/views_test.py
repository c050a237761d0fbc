# labels: browser
"""The training view, the tokens view, and how the page looks and is used: languages, themes, a phone,
the keyboard, size and speed."""

import math
import re
import time
import unittest

from support import BrowserTest, expect


def steps(first, last, level=3.0):
    """Lines of metrics.jsonl as training writes them."""
    lines = []
    for step in range(first, last):
        at = {"step": step, "time": 1.75e9 + 2 * step}
        lines.append({**at, "train/loss": level + 6 * math.exp(-step / 60) + 0.1 * math.sin(7.0 * step), "train/smooth_loss": level,
                      "train/grad_norm": 1.1, "train/lrm": min(1, step / 50), "train/dt": 2.0, "train/tok_per_sec": 15000 + step % 7 * 100,
                      "train/mfu": 0.41, "train/wait": 0.001})
        if step % 100 == 0:
            lines.append({**at, "val/bpb": 1 + math.exp(-step / 90), "val/bytes": 1000})
            lines.append({**at, "samples": [f"Sample <i>one</i> at {step}", "雨停了，街上很静"]})
    return lines


class TrainingTestBase(BrowserTest):
    def run_box(self, name):
        return self.page.get_by_role("checkbox", name=name)

    def chart(self, name):
        return self.page.get_by_role("img", name=name)


class MetricsTest(BrowserTest):
    def in_page(self, body, value):
        return self.page.evaluate(f"async given => {{ const m = await import('/metrics.js'); {body} }}", value)

    def test_later_lines_replace_and_resuming_voids(self):
        lines = [{"step": 0, "time": 0, "a": 1}, {"step": 1, "time": 1, "a": 2, "samples": ["x"]}, {"step": 2, "time": 2, "a": 3, "b": 1},
                 {"step": 1, "time": 9, "resumed": True}, {"step": 1, "time": 10, "a": 20}, {"step": 2, "time": 11, "a": None},
                 "noise", None, {"step": "x"}, {"step": 3, "time": 12, "c": {"d": 4, "e": "text"}}]
        seen = self.in_page("""const x = new m.Metrics(); x.add(given);
          return [x.points('a', 'step'), x.keys(), [...x.samples.keys()], x.latest('c/d'), x.points('a', 'time').map(p => p.x * 3600)]""", lines)
        self.assertEqual(seen, [[{"x": 0, "y": 1}, {"x": 1, "y": 20}, {"x": 2, "y": None}], ["a", "c/d"], [1], 4, [0, 10, 11]])

    def test_smoothing_is_unbiased_and_thinning_keeps_spikes(self):
        flat = [{"x": i, "y": 5} for i in range(50)]
        smooth = self.in_page("return m.smooth(given, 0.9)", flat)
        self.assertTrue(all(abs(p["y"] - 5) < 1e-9 for p in smooth))
        spiky = [{"x": i, "y": 100 if i == 4321 else -50 if i == 777 else i % 3} for i in range(10000)]
        thin = self.in_page("return m.thin(given, 200)", spiky)
        self.assertLessEqual(len(thin), 202)
        self.assertIn({"x": 4321, "y": 100}, thin)
        self.assertIn({"x": 777, "y": -50}, thin)
        self.assertEqual(thin[-1], spiky[-1])
        self.assertEqual([p["x"] for p in thin], sorted(p["x"] for p in thin))


class TrainingTest(TrainingTestBase):
    def setUp(self):
        super().setUp()
        if not (self.runs / "base").exists():
            self.write_metrics("base/d12", steps(0, 400))
            self.write_metrics("base/d4", [*steps(0, 250, 4.0), {"step": 249, "time": 1.75e9, "core_metric": 0.21, "centered": {"easy": 0.4, "hard": None}}])

    def test_a_running_training_is_followed(self):
        self.write_metrics("base/live", steps(0, 150))
        self.state.running.add("base/live")
        page = self.page
        page.locator("[data-view=training]").click()
        expect(self.run_box("base/live")).to_be_checked()
        row = page.get_by_role("row", name="base/live")
        expect(row).to_contain_text("150")
        expect(row).to_contain_text("28:20")  # 850 steps of 2 s
        expect(self.chart("Training loss")).to_have_attribute("aria-label", re.compile(r"base/live 3\.\d"))
        expect(page.locator(".samples li").first).to_have_text("Sample <i>one</i> at 100")
        self.write_metrics("base/live", steps(150, 230, 2.0))
        expect(row).to_contain_text("230", timeout=8000)
        expect(self.chart("Training loss")).to_have_attribute("aria-label", re.compile(r"base/live 2\.\d"))
        expect(page.locator(".samples li").first).to_have_text("Sample <i>one</i> at 200")
        # The process dies and goes on from step 100: what was said of later steps is void.
        self.write_metrics("base/live", [{"step": 100, "time": 1.75e9, "resumed": True}, *steps(101, 110, 7.0)])
        expect(row).to_contain_text("110", timeout=8000)
        expect(row).to_contain_text("7.000")
        expect(page.locator(".samples li").first).to_have_text("Sample <i>one</i> at 100")
        self.picture("training-live")
        self.assertEqual(self.trouble, [])

    def test_runs_are_overlaid(self):
        page = self.page
        page.goto(self.url + "#/training")
        self.run_box("base/d12").check()
        self.run_box("base/d4").check()
        expect(self.chart("Training loss")).to_have_attribute("aria-label", re.compile("base/d12 3.*base/d4 4"))
        expect(page.get_by_role("row", name="core_metric")).to_contain_text("0.21")
        expect(page.get_by_role("row", name="centered/easy")).to_contain_text("0.4")
        self.picture("training")
        drawn = "node => node.getContext('2d').getImageData(0, 0, node.width, node.height).data.filter((x, i) => i % 4 === 3 && x).length"
        before = self.chart("Training loss").evaluate("node => node.toDataURL()")
        self.assertGreater(self.chart("Training loss").evaluate(drawn), 1000)
        page.get_by_label("Log scale").check()
        page.get_by_label("Smoothing").fill("0")
        self.assertNotEqual(self.chart("Training loss").evaluate("node => node.toDataURL()"), before)
        page.reload()
        expect(page.get_by_label("Log scale")).to_be_checked()
        expect(self.run_box("base/d4")).to_be_checked()
        for name in page.locator(".chip input").evaluate_all("nodes => nodes.map(n => n.value)"):
            self.run_box(name).uncheck()
        expect(page.get_by_text("Choose a run above.")).to_be_visible()

    def test_long_files_come_in_parts(self):
        self.state.most_bytes = 5000
        self.page.goto(self.url + "#/training")
        self.run_box("base/d12").check()
        expect(self.page.get_by_role("row", name="base/d12")).to_contain_text("3.000")

    def test_without_a_model_training_is_what_one_sees(self):
        self.state.has_model = False
        page = self.new_page()
        expect(page.locator("#view-training h1")).to_have_text("Training")
        expect(page.locator("#new-chat")).to_be_hidden()
        page.goto(self.url + "#/chat")
        expect(page.locator(".welcome")).to_contain_text("No model is loaded")


class NoRunsTest(TrainingTestBase):
    def test_an_empty_folder_says_so_and_a_new_run_appears(self):
        self.page.goto(self.url + "#/training")
        expect(self.page.get_by_text("No runs yet")).to_be_visible()
        self.write_metrics("base/first", steps(0, 3))
        self.state.running.add("base/first")
        expect(self.run_box("base/first")).to_be_checked(timeout=8000)


class TokensTest(BrowserTest):
    def test_tokens_have_ids_and_every_place_its_probabilities(self):
        page = self.page
        page.goto(self.url + "#/tokens")
        box = page.get_by_label("Text")
        box.fill("Hello there\n你好 𠮷")
        token = page.locator(".token")
        expect(token).to_have_count(9)  # the start, 5 of them whole, a space, a character in two halves
        expect(token.nth(1)).to_have_attribute("aria-label", re.compile(r"Hello, id \d+"))
        expect(token.nth(7)).to_contain_text("‹f0›‹a0›")
        expect(page.get_by_role("status").filter(has_text="bytes")).to_contain_text("8 tokens, 23 bytes")
        token.nth(1).click()
        expect(page.get_by_role("heading", name="What comes after “Hello”")).to_be_visible()
        expect(page.locator(".next .note")).to_contain_text("place 321")
        token.nth(0).click()
        expect(page.get_by_role("heading", name="How a text begins")).to_be_visible()
        expect(page.locator(".bars li").first).to_contain_text("67 %")
        widths = page.locator(".fill").evaluate_all("nodes => nodes.map(n => n.getBoundingClientRect().width)")
        self.assertTrue(all(a >= b for a, b in zip(widths, widths[1:])) and widths[0] > 2 * widths[2] > 0, widths)
        page.keyboard.press("End")
        expect(token.last).to_be_focused()
        page.locator(".bars button").first.click()
        expect(token).to_have_count(10)
        self.picture("tokens")
        self.assertEqual(self.trouble, [])

    def test_any_text_is_text(self):
        box = "<img src=x onerror=alert(1)>\t\r\n  \u0000 𝒳 👩‍👩‍👧"
        self.page.goto(self.url + "#/tokens")
        self.page.get_by_label("Text").fill(box)
        expect(self.page.locator(".tokens")).to_contain_text("<img")
        self.assertEqual(self.page.locator(".tokens img").count(), 0)


class LookTest(BrowserTest):
    def test_chinese_from_end_to_end(self):
        page = self.new_page(locale="zh-CN")
        expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
        expect(page.locator(".welcome h1")).to_have_text("今天想聊点什么？")
        answer = self.say("天空为什么是蓝的？", page)
        expect(answer.locator(".markdown")).to_contain_text("瑞利散射")
        expect(answer.locator(".markdown")).to_contain_text("😀")
        expect(answer.locator(".answer")).to_have_attribute("lang", "zh-CN")
        expect(answer.get_by_role("button", name="重新回答")).to_be_visible()
        self.picture("chinese", page)
        page.get_by_role("button", name="语言").click()
        expect(page.get_by_role("button", name="Answer again")).to_be_visible()
        page.reload()
        expect(page.locator("html")).to_have_attribute("lang", "en")

    def test_an_input_method_chooses_characters_with_enter(self):
        page = self.page
        page.locator("#input").fill("nihao")
        page.locator("#input").dispatch_event("keydown", {"key": "Enter", "isComposing": True})
        page.wait_for_timeout(100)
        self.assertEqual(self.state.requests, [])

    def test_both_languages_say_everything(self):
        pairs = self.page.evaluate("async () => Object.entries((await import('/i18n.js')).words)")
        self.assertGreater(len(pairs), 100)
        for key, words in pairs:
            self.assertEqual(len(words), 2, key)
            names = [sorted(re.findall(r"\{\w+\}", w)) for w in words]
            self.assertEqual(names[0], names[1], key)

    def test_themes_follow_the_system_and_can_be_chosen(self):
        background = "() => getComputedStyle(document.body).backgroundColor"
        page = self.new_page(color_scheme="dark")
        self.assertEqual(page.evaluate(background), "rgb(27, 28, 30)")
        self.say("show me markdown", page)
        self.picture("dark", page)
        page.emulate_media(color_scheme="light")
        self.assertEqual(page.evaluate(background), "rgb(255, 255, 255)")
        page.get_by_role("button", name="Appearance").click()
        page.get_by_role("button", name="Appearance").click()
        self.assertEqual(page.evaluate(background), "rgb(27, 28, 30)")
        page.reload()
        self.assertEqual(page.evaluate(background), "rgb(27, 28, 30)")

    def test_text_can_be_read_in_both_themes(self):
        ratio = """() => {
          const rgb = node => { let c; for (let n = node; n; n = n.parentElement) { c = getComputedStyle(n).backgroundColor.match(/[\\d.]+/g).map(Number);
            if (c.length < 4 || c[3] === 1) return c; } return c; };
          const light = c => { const [r, g, b] = c.slice(0, 3).map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          return [...document.querySelectorAll('.bubble, .markdown p, .markdown a, .code code span, .stats, .hint, #model, #history a, #history h3, blockquote p')]
            .map(n => [n.className || n.tagName, light(getComputedStyle(n).color.match(/[\\d.]+/g).map(Number)), light(rgb(n))])
            .map(([name, a, b]) => [name, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
        }"""
        for scheme in ("light", "dark"):
            page = self.new_page(color_scheme=scheme)
            self.say("show me markdown", page)
            page.locator(".hljs-keyword").first.wait_for()
            seen = page.evaluate(ratio)
            self.assertGreater(len(seen), 10)
            self.assertEqual([x for x in seen if x[1] < 4.5], [], scheme)

    def test_a_phone_shows_everything_in_its_width(self):
        self.write_metrics("base/phone", steps(0, 120))
        page = self.new_page(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True, device_scale_factor=2)
        fits = "() => document.documentElement.scrollWidth <= innerWidth && document.querySelector('#thread').scrollWidth <= innerWidth"
        expect(page.locator("#side")).to_be_hidden()
        self.say("show me markdown", page)
        self.assertTrue(page.evaluate(fits))
        self.picture("phone", page)
        page.get_by_role("button", name="Open the side panel").tap()
        expect(page.locator("#history a")).to_be_visible()
        self.picture("phone-side", page)
        page.locator("[data-view=training]").tap()
        expect(page.locator("#side")).to_be_hidden()
        page.locator(".chip").first.wait_for()
        self.picture("phone-training", page)
        self.assertTrue(page.evaluate(fits))
        self.assertTrue(page.locator("#view-training").evaluate("node => node.scrollWidth <= node.clientWidth"))
        page.get_by_role("button", name="Open the side panel").tap()
        page.locator("[data-view=tokens]").tap()
        page.locator(".bars li").first.wait_for()
        self.assertTrue(page.locator("#view-tokens").evaluate("node => node.scrollWidth <= node.clientWidth"))

    def test_the_keyboard_alone_is_enough(self):
        page, press = self.page, self.page.keyboard.press
        expect(page.locator("#input")).to_be_focused()
        for _ in range(30):
            press("Shift+Tab")
            if page.evaluate("() => document.activeElement.id") == "skip":
                break
        expect(page.locator("#skip")).to_be_in_viewport()
        press("Enter")
        expect(page.locator("#input")).to_be_focused()
        page.keyboard.type("line one")
        press("Shift+Enter")
        page.keyboard.type("slow line two")
        press("Enter")
        expect(page.locator(".bubble")).to_have_text("line one\nslow line two")
        expect(page.locator(".answer")).to_contain_text("word3")
        press("Escape")
        expect(self.wait_answer().locator(".note")).to_have_text("Stopped.")
        press("ArrowUp")
        expect(page.get_by_label("Edit your message")).to_be_focused()
        press("Control+A")
        page.keyboard.type("edited")
        press("Enter")
        expect(self.wait_answer()).to_contain_text("You said: edited")
        for _ in range(40):
            press("Shift+Tab")
            if page.evaluate("() => document.activeElement.getAttribute('aria-haspopup')") == "menu":
                break
        press("Enter")
        expect(page.get_by_role("menuitem", name="Rename")).to_be_focused()
        press("ArrowDown")
        press("ArrowDown")
        expect(page.get_by_role("menuitem", name="Delete")).to_be_focused()
        press("Escape")
        expect(page.get_by_role("button", name="More for")).to_be_focused()
        press("Control+Shift+O")
        expect(page.locator(".message")).to_have_count(0)
        expect(page.locator("#input")).to_be_focused()

    def test_screen_readers_hear_the_answer_in_sentences(self):
        self.say("calculate it")
        live = self.page.locator("#live p")
        expect(live.last).to_have_text("The answer is complete.")
        expect(self.page.locator("#live")).to_contain_text("17 times 23 is  391")
        expect(self.page.locator("#live [aria-live], [aria-live=polite] #thread")).to_have_count(0)
        unnamed = self.page.evaluate("""() => [...document.querySelectorAll('button, a, input, textarea')].filter(n => n.checkVisibility()
          && !(n.getAttribute('aria-label') || n.textContent.trim() || n.closest('label'))).map(n => n.outerHTML)""")
        self.assertEqual(unnamed, [])

    def test_the_page_is_small_and_soon_there(self):
        total = sum(map(len, self.state.files.values())) - len(self.state.files["vendor/licenses.txt"])
        self.assertLess(total, 1.5e6)  # uncompressed, every font and view included
        self.state.sent_bytes = 0
        begun = time.perf_counter()
        page = self.new_page()
        expect(page.locator("#input")).to_be_enabled()
        took = time.perf_counter() - begun
        inside = page.evaluate("() => performance.now()")
        print(f"\nall of it {total} bytes, to begin with {self.state.sent_bytes}; ready after {took:.2f} s, of which a new profile's page took {inside / 1000:.2f} s", end=" ")
        self.assertLess(self.state.sent_bytes, 300000)
        self.assertLess(inside, 5000)  # 1 s on a quiet machine; this one may be busy


if __name__ == "__main__":
    unittest.main()
