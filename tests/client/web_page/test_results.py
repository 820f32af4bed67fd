"""The page in a browser: what it shows of an answer, and what its settings ask for."""

import pytest
from playwright.sync_api import Route, expect

from client.verdict import percent, verdict
from tests.support.web_page import MARKUP, NO_PICTURE, choose, shows, web_process

# Load, upload, results


def test_the_page_says_what_is_served_and_how_to_begin(page, site, no_refusal):
    assert page.title() == "Find a product by its photo"
    assert page.locator("html").get_attribute("lang") == "en"
    expect(page.locator("#served")).to_contain_text((site.index / "current").read_text().strip())
    expect(page.get_by_role("status")).to_have_text("Choose a photo of a product to begin.")
    expect(page.get_by_label("tiny_a")).to_have_value("3")
    expect(page.get_by_label("tiny_b")).to_have_value("1")
    assert page.get_by_label("tiny_b").get_attribute("max") == "10"
    expect(page.get_by_label("Best visual matches that stay (k)")).to_have_value("3")


def test_a_photo_shows_both_rankings_of_the_server_side_by_side(page, site, no_refusal):
    choose(page, site.photo(2))
    expected = site.expected(lambda client: client.search(site.photo(2)))
    shows(page, "initial", expected.initial_results)
    shows(page, "refined", expected.results)
    left, right = (page.locator(f"#{name}").bounding_box() for name in ("initial", "refined"))
    assert left["x"] + left["width"] <= right["x"]
    for name, matches in (("initial", expected.initial_results), ("refined", expected.results)):
        for card, match in zip(page.locator(f"#{name} .match").all(), matches, strict=True):
            words = card.inner_text()
            assert match.description in words
            assert f"similarity\n{match.similarity:.4f}" in words
            for model, cosine in match.cosines.items():
                assert f"{model}\n{cosine:.3f}" in words
            assert f"brand: {match.attributes['brand']}" in words


def test_a_photo_s_verdict_and_the_confidence_of_each_match_are_shown(page, site, no_refusal):
    choose(page, site.photo(2))
    expected = site.expected(lambda client: client.search(site.photo(2)))
    said = verdict(expected)
    assert said
    expect(page.get_by_role("status")).to_contain_text(f"P{said[1:]}. ")
    first = expected.results[0]
    card = page.locator(f"#refined .match[data-product={first.product_id}]")
    assert f"confidence\n{percent(first.confidence)}" in card.inner_text()
    card.get_by_role("button", name="More like this").click()
    expect(page.locator("#query-heading")).to_have_text("More like this product")
    expect(page.get_by_role("status")).to_contain_text("products in")
    expect(page.get_by_role("status")).not_to_contain_text("robably")


def test_what_refinement_brought_names_its_neighbour_and_leads_to_it(page, site):
    choose(page, site.photo(2))
    expected = site.expected(lambda client: client.search(site.photo(2)))
    before = {match.product_id for match in expected.initial_results}
    brought = [m for m in expected.results if m.product_id not in before and m.text]
    removed = before - {match.product_id for match in expected.results}
    assert brought
    for match in brought:
        card = page.locator(f"#refined .match[data-product={match.product_id}]")
        seed = f"#{match.text.seed_rank} {match.text.seed_product_id}"
        cosine = f"{match.text.cosine:.2f}"
        expect(card.locator(".mark")).to_have_text(
            f"+ described like {seed} (text cosine {cosine})"
        )
    card.get_by_role("button", name=seed).click()
    focused = page.evaluate("document.activeElement.dataset.product")
    assert focused == brought[-1].text.seed_product_id
    marked = page.locator("#initial .removed").all()
    assert {card.get_attribute("data-product") for card in marked} == removed
    said = f"Refinement replaced {len(removed)}, out of {expected.subset_size} text neighbours."
    expect(page.get_by_role("status")).to_contain_text(said)


def test_pictures_are_shown_and_a_missing_one_leaves_a_placeholder(page, site, witness):
    choose(page, site.photo(0))
    ids = site.expected(lambda client: client.search(site.photo(0))).results
    assert NO_PICTURE in {match.product_id for match in ids}
    expect(page.locator(f"#refined [data-product={NO_PICTURE}] .picture")).to_have_text(
        "no picture"
    )
    pictures = page.locator("#refined .picture img")
    expect(pictures).to_have_count(len(ids) - 1)
    page.wait_for_function(
        "[...document.querySelectorAll('.picture img, .preview img')].every(i => i.naturalWidth)"
    )
    assert witness.refused > 0


def test_descriptions_are_text_and_long_ones_unfold(page, site):
    choose(page, site.photo(0))
    card = page.locator("#refined [data-product=p0000]")
    expect(card.locator("summary")).to_contain_text("<NEW balm> <3 Ruby &")
    expect(card.locator("details p")).to_be_hidden()
    card.locator("summary").click()
    expect(card.locator("details p")).to_have_text(MARKUP.strip())
    card.get_by_text("Show less").click()
    expect(card.locator("details p")).to_be_hidden()


def test_without_a_catalogue_folder_the_results_are_shown_all_the_same(browser, site, no_refusal):
    with web_process("-s", site.address) as url:
        page = browser.new_page()
        page.goto(url)
        page.set_input_files("#file", site.photo(1))
        expect(page.locator("#refined .no-picture").first).to_have_text("picture not shown")
        page.get_by_role("button", name="More like this").first.click()
        expect(page.locator("#query-heading")).to_have_text("More like this product")
        expect(page.locator(".preview .no-picture")).to_be_visible()
        page.close()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_photo_may_be_dropped_or_pasted(page, site, way, no_refusal):
    data = "dataTransfer" if way == "drop" else "clipboardData"
    kind = "DragEvent" if way == "drop" else "ClipboardEvent"
    page.evaluate(
        f"""bytes => {{
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], "mine.jpg"));
            dispatchEvent(new {kind}("{way}", {{{data}: transfer, cancelable: true}}));
        }}""",
        list(site.photo(3).read_bytes()),
    )
    shows(page, "refined", site.expected(lambda client: client.search(site.photo(3))).results)
    expect(page.locator(".preview figcaption")).to_have_text("mine.jpg")


def test_another_photo_of_the_same_thing_joins_the_first_and_back_leads_to_one(
    page, site, no_refusal
):
    choose(page, site.photo(2))
    one = site.expected(lambda client: client.search(site.photo(2)))
    shows(page, "refined", one.results)
    page.set_input_files("#more", site.photo(7))
    both = site.expected(lambda client: client.search(site.photo(2), more_images=[site.photo(7)]))
    assert both.results != one.results
    shows(page, "refined", both.results)
    expect(page.locator("#query-heading")).to_have_text("Your 2 photos")
    expect(page.locator(".preview figcaption")).to_have_text(["q02.jpg", "q07.jpg"])
    page.get_by_role("button", name="Back", exact=True).click()
    shows(page, "refined", one.results)
    expect(page.locator(".preview figcaption")).to_have_text(["q02.jpg"])


# Words


def test_words_go_with_the_photo_and_back_leads_to_the_search_without(page, site, no_refusal):
    choose(page, site.photo(2))
    page.get_by_label("Words on the product").fill("bioderma")
    page.get_by_role("button", name="Find").click()
    expected = site.expected(lambda client: client.search(site.photo(2), words="bioderma"))
    shows(page, "refined", expected.results)
    first = expected.results[0]
    card = page.locator(f"#refined .match[data-product={first.product_id}]")
    expect(card).to_contain_text(f"{first.words.cosine:.3f}")
    page.get_by_role("button", name="Back", exact=True).click()
    shows(page, "refined", site.expected(lambda client: client.search(site.photo(2))).results)
    expect(page.get_by_label("Words on the product")).to_have_value("")


def test_words_alone_find_products_and_their_strength_can_change(page, site, no_refusal):
    page.get_by_label("Words on the product").fill("violet jar")
    page.get_by_label("Words on the product").press("Enter")
    shows(page, "only", site.expected(lambda client: client.search(words="violet jar")).results)
    expect(page.get_by_role("heading", name="By words")).to_be_visible()
    page.get_by_label("Strength of the words (β)").fill("2.5")
    strong = site.expected(lambda client: client.search(words="violet jar", text_weight=2.5))
    expect(page.locator("#only .match").first).to_contain_text(
        f"{strong.results[0].similarity:.4f}"
    )


# Settings


def test_sliders_and_switch_ask_the_server_again_with_their_values(page, site, no_refusal):
    photo = site.photo(4)
    choose(page, photo)
    shows(page, "refined", site.expected(lambda client: client.search(photo)).results)

    page.get_by_label("Best visual matches that stay (k)").fill("1")
    shows(page, "refined", site.expected(lambda client: client.search(photo, keep=1)).results)

    page.get_by_label("tiny_a").fill("0")
    page.get_by_label("tiny_b").fill("2.5")
    weighed = {"tiny_a": 0, "tiny_b": 2.5}
    expected = site.expected(lambda client: client.search(photo, keep=1, alpha=weighed))
    similarity = page.locator("#refined .scores dd").first
    expect(similarity).to_have_text(f"{expected.results[0].similarity:.4f}")
    shows(page, "refined", expected.results)

    page.get_by_role("switch", name="Refine by the descriptions").uncheck()
    expected = site.expected(lambda client: client.search(photo, refine=False, alpha=weighed))
    shows(page, "only", expected.results)
    expect(page.locator("#initial")).to_have_count(0)
    expect(page.get_by_label("Best visual matches that stay (k)")).to_be_disabled()

    page.get_by_role("button", name="Back to the server’s settings").click()
    expected = site.expected(lambda client: client.search(photo))
    shows(page, "refined", expected.results)
    expect(similarity).to_have_text(f"{expected.results[0].similarity:.4f}")
    expect(page.get_by_label("tiny_a")).to_have_value("3")


def test_a_slider_that_moves_meanwhile_does_not_keep_the_focus_from_a_new_query(page, site):
    choose(page, site.photo(1))
    results = site.expected(lambda client: client.search(site.photo(1))).results
    shows(page, "refined", results)
    asked = []

    def hold_the_first(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()

    page.route("**/api/similar*", hold_the_first)
    page.locator("#refined .more").first.click()
    page.get_by_label("Best visual matches that stay (k)").fill("2")
    expected = site.expected(lambda client: client.similar(results[0].product_id, keep=2)).results
    shows(page, "refined", expected)
    assert len(asked) == 2
    expect(page.locator("#results-heading")).to_be_focused()


def test_a_slider_that_was_not_touched_leaves_the_value_to_the_server(page, site):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    choose(page, site.photo(1))
    expect(page.locator("#refined")).to_be_visible()
    assert [url for url in asked if "/api/search" in url] == [f"{site.url}api/search?refine=true"]


# More like this


def test_more_like_this_searches_by_the_product_and_back_returns(page, site):
    choose(page, site.photo(5))
    first = site.expected(lambda client: client.search(site.photo(5))).results
    shows(page, "refined", first)
    page.locator("#refined").get_by_role("button", name="More like this").nth(1).click()
    expected = site.expected(lambda client: client.similar(first[1].product_id))
    shows(page, "refined", expected.results)
    shows(page, "initial", expected.initial_results)
    expect(page.locator(".preview figcaption")).to_have_text(first[1].product_id)
    page.get_by_role("button", name="Back", exact=True).click()
    shows(page, "refined", first)
    expect(page.locator(".preview figcaption")).to_have_text("q05.jpg")
    page.go_forward()
    shows(page, "refined", expected.results)
