"""nono.cli.shapes.printed: the form in which --json writes."""

from __future__ import annotations

from nono.cli.shapes.printed import list_line, printed, printed_line, printed_list


def test_an_object_is_indented_by_two_spaces_and_begins_with_its_format() -> None:
    assert printed({"a": [1]}) == '{\n  "format": 1,\n  "a": [\n    1\n  ]\n}'
    assert printed_list([{"a": 1}]) == '[\n  {\n    "format": 1,\n    "a": 1\n  }\n]'
    assert printed_list([]) == "[]"


def test_a_stream_has_one_line_for_each() -> None:
    assert printed_line({"a": [1]}) == '{"format": 1, "a": [1]}'
    assert list_line([{"a": 1}, {}]) == '[{"format": 1, "a": 1}, {"format": 1}]'
