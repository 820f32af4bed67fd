"""The letters of a picture: texts cut and wrapped to a width."""

from export.pictures.lettering import ELLIPSIS, caption_font, elided, printable, wrapped


def test_elided_text_is_the_longest_beginning_that_fits() -> None:
    font = caption_font(12)
    text = "a photo of a cosmetic product"
    assert elided(text, font, font.getlength(text)) == text
    for width in (20, 60, 100):
        short = elided(text, font, width)
        assert short.endswith(ELLIPSIS)
        assert font.getlength(short) <= width
        longer = text[: len(short)] + ELLIPSIS
        assert font.getlength(longer) > width


def test_wrapped_text_keeps_its_words_and_at_most_so_many_lines() -> None:
    font = caption_font(12)
    text = "one two\nthree\tfour five six seven eight"
    wide = wrapped(text, font, 90, 9)
    assert " ".join(wide).split() == text.split()
    assert all(font.getlength(line) <= 90 for line in wide)
    narrow = wrapped(text, font, 90, 2)
    assert narrow[0] == wide[0]
    assert len(narrow) == 2
    assert narrow[1].endswith(ELLIPSIS)
    assert wrapped("", font, 90, 3) == []


def test_letters_that_no_file_can_hold_are_replaced() -> None:
    assert printable("a\udce9b\x1bc\u2028d") == "a?b c d"
