"""A template that was saved in the studio is used where a packaged one is."""

import json

from tests.gunicorn_server import Server
from tests.studio.conftest import PATIENCE
from tests.studio.test_make_many import archive, drop, file_of, make
from tests.waiting import wait_until


def listed(server: Server) -> bool:
    """Tell whether one of the workers lists it."""
    return b"summer_fair" in server.ask("/renderers").body


def test_what_is_saved_is_picked_made_many_of_and_gone_when_deleted(editor):
    page, server = editor("summer_fair", workers=2)
    page.wait_for_selector("text=Saved as summer_fair@1")

    # No page is loaded anew: the lists are those of this moment.
    page.click("nav >> text=Make one")
    page.wait_for_selector("#preview")
    page.click(".picked")
    page.fill("[aria-label='Search renderers']", "summer")
    page.wait_for_selector(".picker .tile:has(code:text-is('summer_fair')) img")
    assert "saved here" in page.inner_text(".picker .tile")
    page.click(".picker .tile")
    page.wait_for_selector("[data-field=event]")
    page.wait_for_selector("#preview[alt='Preview of Ticket with a stub']")

    page.click("nav >> text=Gallery")
    page.wait_for_selector(".gallery .tile:has(code:text-is('summer_fair')) img")

    page.goto(f"{server.url}/studio#/many/summer_fair")
    page.wait_for_selector(".drop.large")
    drop(page, file_of("guests.csv", b"event\nJazz\nBlues\n"))
    assert page.locator(".contact img").count() == 2
    make(page)
    with archive(page) as made:
        assert len(made.namelist()) == 3

    gone = server.ask("/templates/summer_fair", "DELETE", headers={"If-Match": "*"})
    assert gone.status == 204
    wait_until(lambda: all(not listed(server) for _ in range(12)), 60)
    page.click("nav >> text=Gallery")
    page.wait_for_selector(
        ".gallery .tile:has(code:text-is('summer_fair'))",
        state="detached",
        timeout=PATIENCE,
    )


def test_a_saved_template_is_deleted_on_the_page_and_can_be_saved_anew(editor):
    page, server = editor("fair")
    page.wait_for_selector("text=Saved as fair@1")
    page.click("button:text-is('Delete')")
    page.click("button:text-is('Keep it')")
    assert server.ask("/templates/fair").status == 200

    page.click("button:text-is('Delete')")
    page.click("button:text-is('Delete it')")
    page.wait_for_selector("text=fair is deleted.")

    assert server.ask("/templates/fair").status == 404
    # There is nothing to delete any more, and no focus was lost with the button.
    assert page.locator("button:text-is('Delete')").count() == 0
    assert page.evaluate("document.activeElement.tagName") == "SELECT"
    page.click("button:text-is('Save')")
    page.wait_for_selector("text=Saved as fair@")
    assert server.ask("/templates/fair").status == 200


def test_what_somebody_else_has_saved_since_is_not_deleted(editor):
    page, server = editor("fair")
    page.wait_for_selector("text=Saved as fair@1")
    files = json.loads(server.ask("/templates/fair").body)["files"]
    body = json.dumps({"files": {**files, "template.html": "<p>mine</p>"}}).encode()
    headers = {"Content-Type": "application/json", "If-Match": "*"}
    assert server.ask("/templates/fair", "PUT", body, headers).status in (200, 201)

    page.click("button:text-is('Delete')")
    page.click("button:text-is('Delete it')")

    page.wait_for_selector("[role=alert]:has-text('There is another version')")
    assert server.ask("/templates/fair").status == 200
