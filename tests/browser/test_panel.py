"""The guide's last two boxes, ticked as a person would: enable one schedule in the admin UI, click Run Now."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import jobs, schedules
from runtime.db import connect
from runtime.web.session import LIFETIME_SECONDS
from tests.browser.conftest import TOKEN, Site
from tests.browser.driver import Browser
from tests.runtime.support import eventually

pytestmark = pytest.mark.xdist_group("browser")

TAB, ENTER = "\ue004", "\ue007"
NARROWEST = 360
# Contrast of each text against what lies behind it, by the formula of WCAG 2.2; answers the texts below 4.5.
TOO_FAINT = """(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [[r, .2126], [g, .7152], [b, .0722]].reduce((sum, [c, w]) => {
    c /= 255;
    return sum + w * (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
  }, 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = numbers(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('body *')].filter(
    (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()) && node.offsetParent);
  return texts.map((node) => {
    const [a, b] = [light(numbers(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    return [node.className + ' ' + node.textContent.slice(0, 40), (a + .05) / (b + .05)];
  }).filter(([, contrast]) => contrast < 4.5);
})()"""
TARGETS_TOO_SMALL = """[...document.querySelectorAll('button, select, summary, .figures a')]
  .filter((node) => node.offsetParent && node.getBoundingClientRect().height < 24).map((node) => node.textContent)"""


def sign_in(browser: Browser) -> None:
    browser.type("#token", TOKEN)
    browser.click("form button")
    eventually(lambda: browser.shows("Who is alive"))


def press(browser: Browser, label: str, until: str) -> None:
    browser.click(f'button[aria-label="{label}"]')
    eventually(lambda: browser.shows(until))


@pytest.mark.parametrize("scripts", ["on", "off"])
def test_a_schedule_is_enabled_and_run_now_until_its_job_shows_completed(
    browser: Browser, site: Site, scripts: str
) -> None:
    browser.devtools("Emulation.setScriptExecutionDisabled", {"value": scripts == "off"})
    sign_in(browser)
    assert browser.shows("1 schedule daemon running")
    assert browser.shows("1 job worker running")
    press(browser, "Enable: hourly-report", until="hourly-report is enabled.")
    press(browser, "Run now: hourly-report", until="demo-report")
    eventually(lambda: browser.shows("COMPLETED"))  # the page follows the job by itself
    assert browser.shows("report for now"), "with the line that the job wrote"
    job_id = browser.url.partition("/jobs/")[2].partition("?")[0]
    with connect(site.database) as db:
        row = jobs.read(db, job_id)
        assert row is not None
        assert (row.job_name, row.status) == ("demo-report", "COMPLETED")
        assert {schedule.name for schedule in schedules.read(db) if schedule.enabled} == {"hourly-report"}
    browser.open(site.panel)
    press(browser, "Disable: hourly-report", until="hourly-report is disabled.")


def test_a_failed_job_shows_its_error_and_is_retried(browser: Browser, site: Site) -> None:
    with connect(site.database) as db:
        job_id = jobs.enqueue(db, "demo-fail", max_attempts=1, delay_seconds=3600)
        db.change("UPDATE JobRun SET status = 'FAILED', lastError = 'out of coal' WHERE id = :id", {"id": job_id})
    sign_in(browser)
    browser.open(f"{site.panel}?status=FAILED")
    browser.click("td a")
    eventually(lambda: browser.shows("out of coal"))
    browser.click(".buttons button")
    eventually(lambda: browser.shows("attempt 1 failed, as asked"))


def test_everything_can_be_done_from_the_keyboard(browser: Browser) -> None:
    browser.type("#token", TOKEN + ENTER)
    eventually(lambda: browser.shows("Who is alive"))
    browser.press(TAB)
    assert browser.run("document.activeElement.textContent") == "Skip to content"
    assert browser.run("document.activeElement.getBoundingClientRect().left >= 0"), "seen once it has the focus"
    names = []
    for _ in range(30):
        browser.press(TAB)
        names.append(browser.run("document.activeElement.getAttribute('aria-label')"))
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if names[-1] == "Enable: weekly-digest":
            break
    assert names.index("Run now: weekly-digest") < names.index("Enable: weekly-digest")
    browser.press(ENTER)
    eventually(lambda: browser.shows("weekly-digest is enabled."))
    press(browser, "Disable: weekly-digest", until="weekly-digest is disabled.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_the_narrowest_phone_in_either_light(
    browser: Browser, site: Site, scheme: str, tmp_path: Path
) -> None:
    browser.prefer(scheme)
    browser.resize(NARROWEST, 800)
    with connect(site.database) as db:
        long = jobs.enqueue(db, "a-job-with-quite-a-long-name-" + "x" * 40, delay_seconds=3600)
    sign_in(browser)
    for url in (site.panel, f"{site.panel}/jobs/{long}", f"{site.panel}/nothing-there", f"{site.panel}/sign-in"):
        browser.open(url)
        assert browser.run("document.documentElement.scrollWidth") == NARROWEST, f"{url} scrolls sideways"
        assert browser.run(TOO_FAINT) == []
        assert browser.run(TARGETS_TOO_SMALL) == []
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(20, 23, 29)") == (scheme == "dark")
    browser.screenshot(tmp_path / f"{scheme}.png")


def test_the_cookie_is_out_of_reach_and_ends(browser: Browser) -> None:
    sign_in(browser)
    (cookie,) = browser.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/panel")
    assert 0 < cookie["expiry"] - browser.run("Date.now() / 1000") <= LIFETIME_SECONDS
    assert browser.run("document.cookie") == ""


def test_the_browser_runs_no_script_that_got_into_a_page(browser: Browser, site: Site) -> None:
    sign_in(browser)
    inject = "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hit = 1'}))"
    browser.run(inject)
    assert browser.run("window.hit") is None
    fetched = browser.run("performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert fetched == [f"{site.panel}/panel.css"]


def test_a_form_of_another_site_does_nothing(browser: Browser, site: Site) -> None:
    sign_in(browser)
    # The same machine under another name is another site for the browser.
    browser.open(site.panel.replace("127.0.0.1", "localhost").replace("/panel", "/health"))
    form = f"""(() => {{
      const form = Object.assign(document.createElement('form'), {{method: 'post', action: '{site.panel}/schedules'}});
      form.innerHTML = '<input name=action value=enable><input name=name value=nightly-clean-up>';
      document.body.append(form);
      form.submit();
    }})()"""
    browser.run(form)
    eventually(lambda: browser.shows("sent from another site"))
    with connect(site.database) as db:
        assert not any(schedule.enabled for schedule in schedules.read(db))
