"""What is wrong with a recipe's setting, in words for who has set it."""

from pydantic_core import ErrorDetails

# By pydantic's kind of mistake; {...} is what it knows of it.
_WORDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a number that is not infinite",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_type": "must be a text",
    "tuple_type": "must be a list, as [0.6, 1.0]",
}


def words_of(mistake: ErrorDetails) -> str:
    """Of one of a ValidationError's mistakes, without the setting's name."""
    words = _WORDS.get(mistake["type"])
    if words is None:
        return mistake["msg"].removeprefix("Value error, ")
    return words.format(**mistake.get("ctx", {}))
