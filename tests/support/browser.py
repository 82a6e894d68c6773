"""A real Chromium, headless, for the tests of the page and for its screenshots."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from stageline.local.ports import free_port

TIMEOUT = float(
    os.environ.get("STAGELINE_TEST_PATIENCE", "90")
)  # how long something may take before it counts as never
PHONE, TABLET, DESKTOP = (360, 740), (768, 1024), (1440, 900)


def find_chromium() -> tuple[str, str]:
    """The paths of Chromium and of its driver.

    Raises:
        FileNotFoundError: this machine lacks one of them.
    """
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        raise FileNotFoundError("no chromium with chromedriver on the PATH: `apt-get install chromium chromium-driver`")
    return browser, driver


class Browser:
    """A page in a Chromium: what the tests do with it."""

    def __init__(self, driver: Chrome, url: str) -> None:
        """Take a driver, and the address of a line's API."""
        self.driver = driver
        self.url = url
        self.expected: list[str] = []
        """Parts of complaints of the console that a test brings about."""

    def open(self, hash_: str = "") -> None:
        """Load the page anew at an address, such as ``#/line``."""
        self.driver.get("about:blank")  # else a new hash alone would load nothing
        self.driver.get(f"{self.url}/{hash_}")

    def see_as(self, size: tuple[int, int] = DESKTOP, *, dark: bool = False, scale: float = 1) -> None:
        """Have the page this wide and high, in this colour scheme."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < TABLET[0]}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def all(self, selector: str) -> list[WebElement]:
        """Every element of a CSS selector."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """The first element of a CSS selector, once it is there."""
        found: WebElement = self.until(lambda: next(iter(self.all(selector)), None), selector)
        return found

    def seen(self, selector: str) -> WebElement:
        """The first element of a CSS selector that is shown, once there is one."""
        return self.until(lambda: next((one for one in self.all(selector) if one.is_displayed()), None), selector)

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait until something holds; return it.

        Raises:
            TimeoutError: it never did; says what was on the page.
        """
        deadline, last = time.monotonic() + TIMEOUT, ""
        while time.monotonic() < deadline:
            try:
                found = holds()
            except Exception as error:  # noqa: BLE001 # an element that was just replaced: look again
                found, last = None, f" (last: {type(error).__name__})"
            if found:
                return found
            time.sleep(0.05)
        raise TimeoutError(f"never came: {what}{last}; the page says:\n{self.text()}\n{self.complaints()}")

    def text(self, selector: str = "body") -> str:
        """What an element says."""
        return str(self.driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def run(self, script: str, *arguments: Any) -> Any:
        """Run JavaScript in the page."""
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """What the console logged since the last call: errors, and what the Content-Security-Policy refused."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@contextmanager
def chromium(url: str) -> Iterator[Browser]:
    """A Chromium of its own for as long as the block runs.

    Raises:
        FileNotFoundError: this machine has none.
    """
    program, driver_program = find_chromium()
    options = ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's sandbox does not start for root
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options, ChromeService(driver_program, free_port()))  # its own choice may become a client's port
    try:
        page = Browser(driver, url)
        page.see_as()
        yield page
    finally:
        driver.quit()
