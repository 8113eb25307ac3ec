"""The reference at `/docs/api` works under the policy of all pages, and asks no one."""

from tests.studio.conftest import PATIENCE


def test_the_reference_lists_what_the_server_answers(opened):
    page = opened("/docs/api")

    page.wait_for_selector("#operations-tag-Images")
    tags = page.locator("h3.opblock-tag").evaluate_all(
        "all => all.map(e => e.dataset.tag)"
    )
    assert {"Images", "Collections", "Jobs", "Catalogue"} <= {*tags}


def test_a_request_can_be_tried_on_the_page(opened):
    page = opened("/docs/api#/Catalogue/listProblems")
    block = page.locator("#operations-Catalogue-listProblems")
    block.get_by_role("button", name="Try it out").click(timeout=PATIENCE)

    block.get_by_role("button", name="Execute").click()

    block.locator(".live-responses-table").wait_for()
    status = block.locator(".live-responses-table .response-col_status").nth(1)
    assert status.inner_text().startswith("200")


def test_the_policy_allows_nothing_but_this_host(server):
    policy = server.ask("/docs/api").headers["Content-Security-Policy"]

    assert "script-src 'self';" in policy and "style-src 'self';" in policy
    assert "unsafe" not in policy and "http" not in policy
