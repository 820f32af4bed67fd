"""Filters in Python and as they are typed: what arrives at the server, and what is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import Column, Filter, InvalidQueryError
from client.filters import filter_of_texts
from retrieval_server.attributes.values import number_of, truth_of
from retrieval_server.command_line.where import Comparison, Where, parse_where
from retrieval_server.v1 import retrieval_pb2 as pb

PRICE, BRAND = Column("price"), Column("brand")


def price(**ends: float) -> pb.Filter:
    return pb.Filter(range=pb.Range(column="price", **ends))


def brand(value: str) -> pb.Filter:
    return pb.Filter(equals=pb.Equals(column="brand", value=pb.Value(text=value)))


def none_of(message: pb.Filter) -> pb.Filter:
    return pb.Filter(none_of=pb.Filters(filters=[message]))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (PRICE < 30, price(below=30)),
        (30 > PRICE, price(below=30)),
        (PRICE <= 30.5, price(at_most=30.5)),
        (PRICE > Decimal("9.99"), price(above=9.99)),
        (PRICE >= -1, price(at_least=-1)),
        (BRAND == "Nuxe", brand("Nuxe")),
        ("Nuxe" == BRAND, brand("Nuxe")),
        (BRAND != "Nuxe", none_of(brand("Nuxe"))),
        (
            Column("stock") == True,  # noqa: E712 - a filter, not a truth value
            pb.Filter(equals=pb.Equals(column="stock", value=pb.Value(truth=True))),
        ),
        (
            BRAND.one_of("Nuxe", 3, False),
            pb.Filter(
                one_of=pb.OneOf(
                    column="brand",
                    values=[pb.Value(text="Nuxe"), pb.Value(number=3), pb.Value(truth=False)],
                )
            ),
        ),
        (BRAND.is_missing(), pb.Filter(is_missing=pb.IsMissing(column="brand"))),
        (~(PRICE < 30), none_of(price(below=30))),
        (
            (PRICE < 30) & (PRICE > 10) & (BRAND == "Nuxe"),
            pb.Filter(all_of=pb.Filters(filters=[price(below=30), price(above=10), brand("Nuxe")])),
        ),
        (
            (PRICE < 30) | (PRICE > 90) & (BRAND == "Nuxe"),
            pb.Filter(
                any_of=pb.Filters(
                    filters=[
                        price(below=30),
                        pb.Filter(all_of=pb.Filters(filters=[price(above=90), brand("Nuxe")])),
                    ]
                )
            ),
        ),
    ],
)
def test_expression_is_this_message(made: Filter, message: pb.Filter) -> None:
    assert made.message == message


def test_combining_a_filter_leaves_it_as_it_was() -> None:
    both = (PRICE < 30) & (BRAND == "Nuxe")
    before = str(both)
    assert str(both & BRAND.is_missing()) != before == str(both)


@pytest.mark.parametrize(
    "misused",
    [
        lambda: (PRICE < 30) and (BRAND == "Nuxe"),
        lambda: not PRICE < 30,
        lambda: 10 < PRICE < 30,
    ],
)
def test_operators_of_truth_values_say_what_to_write_instead(misused) -> None:
    with pytest.raises(TypeError, match=r"Write & for and, \| for or, ~ for not, and \(10 < col"):
        misused()


@pytest.mark.parametrize(
    "misused",
    [
        lambda: PRICE < 30 & BRAND == "Nuxe",
        lambda: (PRICE < 30) & BRAND == "Nuxe",
        lambda: PRICE < 30 | BRAND == "Nuxe",
        lambda: ~PRICE < 30,
    ],
)
def test_comparison_without_parentheses_says_to_write_them(misused) -> None:
    with pytest.raises(TypeError, match="Put each comparison in parentheses"):
        misused()


@pytest.mark.parametrize(
    ("misused", "error", "message"),
    [
        (lambda: PRICE == None, TypeError, r"None is no value .* is_missing\(\) for none"),  # noqa: E711
        (lambda: BRAND == ["Nuxe"], TypeError, r"\['Nuxe'\] is no value .* one_of\(\) for several"),
        (lambda: PRICE < "30", TypeError, "'30' is no value .* ranges take numbers"),
        (lambda: PRICE < True, TypeError, "True is no value"),
        (lambda: PRICE.one_of(1, float("nan")), ValueError, "NaN is no value"),
        (lambda: PRICE < 10**400, ValueError, "is too large for a number"),
        (lambda: BRAND == "\udcff", InvalidQueryError, "filter: '.udcff' is not valid UTF-8"),
        (lambda: Column("\udcff"), InvalidQueryError, "filter: '.udcff' is not valid UTF-8"),
        (lambda: (PRICE < 3) & True, TypeError, "unsupported operand"),
    ],
)
def test_values_that_no_column_has_are_refused(misused, error, message) -> None:
    with pytest.raises(error, match=message):
        misused()


def test_filter_that_is_too_deep_to_be_sent_is_refused_where_it_is_made() -> None:
    deep = PRICE < 30
    for _ in range(39):
        deep = ~deep
    with pytest.raises(InvalidQueryError, match="more than 40 filters in one another"):
        deep.__invert__()
    assert pb.SearchRequest.FromString(pb.SearchRequest(filter=deep.message).SerializeToString())


# As it is typed


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("brand = Nuxe", Where("brand", Comparison.EQUALS, ("Nuxe",))),
        ("brand=Nuxe", Where("brand", Comparison.EQUALS, ("Nuxe",))),
        ("brand = La Roche-Posay ", Where("brand", Comparison.EQUALS, ("La Roche-Posay",))),
        ("brand = L'Oréal", Where("brand", Comparison.EQUALS, ("L'Oréal",))),
        ("brand = 'L''Oréal'", Where("brand", Comparison.EQUALS, ("L'Oréal",))),
        ('brand = "say ""oil"""', Where("brand", Comparison.EQUALS, ('say "oil"',))),
        ("brand = ' Nuxe '", Where("brand", Comparison.EQUALS, (" Nuxe ",))),
        ("brand = ''", Where("brand", Comparison.EQUALS, ("",))),
        ("brand = 'a < b and c'", Where("brand", Comparison.EQUALS, ("a < b and c",))),
        ("brand = Sand and'y", Where("brand", Comparison.EQUALS, ("Sand and'y",))),
        ("brand != Nuxe", Where("brand", Comparison.EQUALS, ("Nuxe",), True)),
        ("'brand name' = 30", Where("brand name", Comparison.EQUALS, (30.0,))),
        ("größe_ml = '30'", Where("größe_ml", Comparison.EQUALS, ("30",))),
        ("zip = 0123", Where("zip", Comparison.EQUALS, ("0123",))),
        ("ean = 4006381333931000", Where("ean", Comparison.EQUALS, ("4006381333931000",))),
        ("in_stock = TRUE", Where("in_stock", Comparison.EQUALS, (True,))),
        ("price < 30", Where("price", Comparison.BELOW, (30.0,))),
        ("price<=-.5", Where("price", Comparison.AT_MOST, (-0.5,))),
        ("price > 1e3", Where("price", Comparison.ABOVE, (1000.0,))),
        ("price >= 12.50", Where("price", Comparison.AT_LEAST, (12.5,))),
        ("shade in (Ruby, Amber)", Where("shade", Comparison.ONE_OF, ("Ruby", "Amber"))),
        ("shade IN(Ruby)", Where("shade", Comparison.ONE_OF, ("Ruby",))),
        (
            "shade in ( 'a, b' , Ruby Red,3,true )",
            Where("shade", Comparison.ONE_OF, ("a, b", "Ruby Red", 3.0, True)),
        ),
        ("shade not in (Ruby)", Where("shade", Comparison.ONE_OF, ("Ruby",), True)),
        ("shade is missing", Where("shade", Comparison.IS_MISSING)),
        ("shade IS NOT  MISSING ", Where("shade", Comparison.IS_MISSING, (), True)),
        ("is is missing", Where("is", Comparison.IS_MISSING)),
        ("in in (in)", Where("in", Comparison.ONE_OF, ("in",))),
    ],
)
def test_typed_condition_is_this(text: str, where: Where) -> None:
    assert parse_where(text) == where


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("", "at the end", "write the name of a column first"),
        ("  ", "at the end", "write the name of a column first"),
        ("= Nuxe", "at '= Nuxe'", "write the name of a column first"),
        ("'brand = Nuxe", 'at "\'brand = Nuxe"', "write the name of a column first"),
        ("brand", "at the end", "after the column, write = != <"),
        ("brand name = Nuxe", "at 'name = Nuxe'", "after the column, write = != <"),
        ("brand like Nuxe", "at 'like Nuxe'", "after the column, write = != <"),
        ("brand is null", "at 'is null'", "after the column, write = != <"),
        ("brand is missing too", "at 'is missing too'", "after the column, write = != <"),
        ("brand in Nuxe", "at 'in Nuxe'", "after the column, write = != <"),
        ("brand == Nuxe", "at '== Nuxe'", "there is no ==; write = != <"),
        ("brand <> Nuxe", "at '<> Nuxe'", "there is no <>; write = != <"),
        ("brand =", "at the end", "write a value here, or '' for an empty text"),
        ("brand = 'Nuxe", 'at "\'Nuxe"', "the quote is not closed at the end"),
        ("brand = 'L'Oréal'", "at \"'L'Oréal'\"", "the quote is not closed at the end"),
        ("brand = 'a' b", "at \"'a' b\"", "the quote is not closed at the end"),
        ("price < cheap", "at 'cheap'", "only numbers go with <, such as 30 or 12.50"),
        ("price < '30'", "at \"'30'\"", "only numbers go with <"),
        ("price < 12,50", "at '12,50'", "only numbers go with <"),
        ("price <", "at the end", "write a value here"),
        ("price < nan", "at 'nan'", "only numbers go with <"),
        ("brand = Nuxe and price < 30", "at 'and price < 30'", "put the value in quotes if"),
        ("brand = Nuxe OR Lush", "at 'OR Lush'", "put the value in quotes if"),
        ("brand = price=3", "at '=3'", "put the value in quotes if"),
        ("10 < price < 30", "at '< 30'", "put the value in quotes if"),
        ("shade in ()", "at ')'", "write a list of values with commas, and close it"),
        ("shade in (Ruby", "at 'Ruby'", "write a list of values with commas, and close it"),
        ("shade in (Ruby,)", "at ')'", "write a list of values with commas, and close it"),
        ("shade in (,Ruby)", "at ',Ruby)'", "write a list of values with commas, and close it"),
        ("shade in ('Ru)", 'at "\'Ru)"', "write a list of values with commas, and close it"),
        ("shade in (Ruby) and more", "at 'and more'", "nothing may follow the list"),
    ],
)
def test_condition_that_cannot_be_read_points_at_the_place(
    text: str, place: str, problem: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared
        parse_where(text)
    message = str(caught.value)
    assert message.startswith(f"{text!r}, {place}: {problem}")
    assert "\n" not in message


@given(text=st.text(max_size=30) | st.text("brandi nots<>=!(),'\"0.5e", max_size=20))
def test_any_text_is_a_condition_or_an_error_in_one_line(text: str) -> None:
    problem = ""
    try:
        parse_where(text)
    except ValueError as error:
        problem = str(error)
    assert len(problem.splitlines()) <= 1


@given(
    value=st.text(max_size=20)
    | st.floats(allow_nan=False).map(repr)
    | st.text("0123456789+-.eE_ ", max_size=8)
    | st.sampled_from(["TRUE", "False", "1_000", "0x1F", "inf", "٣"])
)
def test_bare_value_is_of_the_kind_that_a_column_of_such_values_has(value: str) -> None:
    try:
        (found,) = parse_where(f"column = {value}").values
    except ValueError:
        return
    if value.strip()[:1] in ("'", '"'):
        assert isinstance(found, str)
    elif (number := number_of(value)) is not None:
        assert found == number
    elif (truth := truth_of(value)) is not None:
        assert found is truth
    else:
        assert found == value.strip() or found in (float("inf"), float("-inf"))


@given(name=st.text(min_size=1, max_size=20), value=st.text(max_size=20))
def test_anything_can_be_written_in_quotes(name: str, value: str) -> None:
    quoted_name, quoted_value = (
        f"'{each.replace(chr(39), 2 * chr(39))}'" for each in (name, value)
    )
    assert parse_where(f"{quoted_name} = {quoted_value}") == Where(
        name, Comparison.EQUALS, (value,)
    )
    assert parse_where(f"{quoted_name} not in ({quoted_value}, x)") == Where(
        name, Comparison.ONE_OF, (value, "x"), True
    )


def test_typed_conditions_are_joined_by_and() -> None:
    assert filter_of_texts([]) is None
    one = filter_of_texts(["brand = Nuxe"])
    two = filter_of_texts(["brand = Nuxe", "price < 30", "shade is not missing"])
    assert one is not None
    assert two is not None
    assert one.message == brand("Nuxe")
    shade = none_of(pb.Filter(is_missing=pb.IsMissing(column="shade")))
    assert list(two.message.all_of.filters) == [brand("Nuxe"), price(below=30), shade]
