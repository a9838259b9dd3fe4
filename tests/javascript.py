"""The page's JavaScript, run outside a page: by node, or where there is none, in Chromium."""

import json
import shutil
import subprocess

import pytest

from flaxtext.report.page import TEMPLATES

SOURCE = (TEMPLATES / "portable.js").read_text(encoding="utf-8")
NODE = shutil.which("node")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def in_javascript(function, value):
    """Call `function`, source text that may use `portable`, with a JSON value; returns what it resolves to."""
    call = f"Promise.resolve(({function})({json.dumps(value)}))"
    if NODE is None:
        return _in_chromium(call)
    script = f"{SOURCE}\n{call}.then((found) => process.stdout.write(JSON.stringify(found)));"
    ran = subprocess.run([NODE, "-"], input=script, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def _in_chromium(call):
    if CHROMIUM is None:
        pytest.skip("no node and no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright; make test installs it")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.add_script_tag(content=SOURCE)
        found = page.evaluate(call)
        browser.close()
        return found
