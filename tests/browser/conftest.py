"""A real Chromium on a real App, for whoever asks for it with FROZENSEG_LABEL_NEEDS_BROWSER=1.

They take minutes, and on a machine that is busy with other things they have been seen to fail.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not os.environ.get("FROZENSEG_LABEL_NEEDS_BROWSER"):
        pytest.skip("takes minutes of a quiet machine: set FROZENSEG_LABEL_NEEDS_BROWSER=1")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.fail("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)  # machines that check much are slow
    yield opened
    context.close()
