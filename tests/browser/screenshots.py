#!/usr/bin/env python3
"""Makes the pictures of docs/pictures, with the model and the runs of a base folder.

    tests/browser/screenshots.py build/demo      # what ./run demo leaves

Needs what the browser tests need, and the built program.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/support"))
from live_server import Server
from playwright.sync_api import expect, sync_playwright
from support import CHROMIUM

PICTURES = ROOT / "docs/pictures"
SETTINGS = "localStorage.setItem('nanochat.settings', JSON.stringify({ temperature: 0, theme: '%s', language: '%s' }))"


def open_page(browser, url, view, theme="light", language="en"):
    context = browser.new_context(viewport={"width": 1120, "height": 720}, color_scheme=theme, locale=language)
    context.add_init_script(SETTINGS % (theme, language))
    page = context.new_page()
    page.goto(url + view)
    page.locator("body.ready").wait_for()
    return page


def save(page, name):
    page.mouse.move(0, 0)
    page.evaluate("() => document.activeElement.blur()")
    page.wait_for_timeout(700)  # charts and panels have come to rest
    page.screenshot(path=PICTURES / name)
    print(f"{PICTURES / name}: {(PICTURES / name).stat().st_size / 1024:.0f} KiB")


def chat(page, questions):
    for i, question in enumerate(questions):
        page.locator("#input").fill(question)
        page.keyboard.press("Enter")
        expect(page.locator(".assistant").nth(i).locator(".answer")).to_have_attribute("aria-busy", "false", timeout=60000)


def main(base):
    PICTURES.mkdir(exist_ok=True)
    with Server("--base-dir", base, "--runs", Path(base, "runs"), model="rl", threads=2) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = open_page(browser, server.url, "")
        chat(page, ["Who are you?", "What is 37 plus 25?"])
        save(page, "chat.png")
        page = open_page(browser, server.url, "", "dark", "zh")
        chat(page, ["你好！", "What is 37 plus 25?"])
        save(page, "chat-dark.png")
        page = open_page(browser, server.url, "#/training")
        page.locator(".chip input").first.wait_for()
        for box in page.locator(".chip input").all():
            box.set_checked(not box.get_attribute("value").startswith("rl/"))  # its loss is another one
        page.locator("canvas").first.wait_for()
        save(page, "training.png")
    with Server("--base-dir", base, model="base") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = open_page(browser, server.url, "#/tokens")
        page.get_by_label("Text").fill("Once upon a time a fox was hungry. Her favourite food is sausages.\n从前，有一个孩子名叫阳阳。")
        last = page.locator(".token").filter(has_text="阳").last
        last.wait_for()
        page.locator(".token").filter(has_text="·is").click()
        page.get_by_role("heading", name="·is").wait_for()
        save(page, "tokens.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
