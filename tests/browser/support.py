"""What the browser tests share: one server, one Chromium, a fresh profile for each test.

Needs Debian's chromium and PyPI's playwright (no browser of its own), and what ui/vendor.txt names.
Whatever is missing skips the tests, with a message. $NANOCHAT_SCREENSHOTS, a folder, keeps pictures.
"""

import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path

import mock_server

try:
    from playwright.sync_api import expect, sync_playwright
except ImportError:
    expect = sync_playwright = None

CHROMIUM = shutil.which("chromium")


class PageTest(unittest.TestCase):
    """The page, of whatever server: start_server() says its address."""

    @classmethod
    def setUpClass(cls):
        if sync_playwright is None or CHROMIUM is None:
            raise unittest.SkipTest("needs Debian's chromium and PyPI's playwright")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.url = cls.start_server()
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        cls.browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.trouble = []
        self.page = self.new_page()

    def tearDown(self):
        for context in self.browser.contexts:
            context.close()

    def new_page(self, path="", **options):
        """A page in a profile of its own. Errors and breaches of the policy are put in self.trouble."""
        options = {"viewport": {"width": 1280, "height": 860}, "locale": "en-US", **options}
        context = self.browser.new_context(**options)
        page = context.new_page()
        page.set_default_timeout(10000)
        page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        page.on("console", lambda message: self.note(message))
        page.goto(self.url + path)
        page.locator("body.ready").wait_for()
        return page

    def note(self, message):
        # A status of 4xx or 5xx is the page's to explain, not a mistake in it.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.trouble.append(f"{message.type}: {message.text}")

    def say(self, text, page=None):
        """Sends a message and waits for the end of the answer, which is returned."""
        page = page or self.page
        before = page.locator(".assistant").count()
        page.locator("#input").fill(text)
        page.keyboard.press("Enter")
        page.locator(".assistant").nth(before).wait_for()
        return self.wait_answer(page)

    def wait_answer(self, page=None):
        answer = (page or self.page).locator(".assistant").last
        expect(answer.locator(".answer")).to_have_attribute("aria-busy", "false", timeout=20000)
        return answer

    def picture(self, name, page=None):
        folder = os.environ.get("NANOCHAT_SCREENSHOTS")
        if folder:
            (page or self.page).screenshot(path=f"{folder}/{name}.png")


class BrowserTest(PageTest):
    """With mock_server.py, whose answers are known and which can be told to fail: self.state."""

    @classmethod
    def start_server(cls):
        cls.runs = cls.folder
        try:
            cls.state = mock_server.State(cls.runs)
        except FileNotFoundError as error:
            raise unittest.SkipTest(f"needs the packages of ui/vendor.txt: {error}")
        server = mock_server.start(cls.state)
        cls.addClassCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}/"

    def setUp(self):
        self.state.reset()
        super().setUp()

    def write_metrics(self, run, lines):
        """Appends to the metrics of run "stage/tag"."""
        file = self.runs / run / "metrics.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)
