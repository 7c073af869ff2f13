"""What is said before a run of the arguments of its command."""

from __future__ import annotations

import os

import pytest

from nono.cli.run_summary import closed_descriptors


@pytest.mark.parametrize("form", ["/dev/fd/{}", "/proc/self/fd/{}", "--config=/dev/fd/{}", "@/dev/fd/{}"])
def test_an_argument_that_names_an_open_descriptor_is_found(form: str) -> None:
    read, write = os.pipe()
    named = form.format(read)
    try:
        assert list(closed_descriptors(["cat", named])) == [named]
    finally:
        os.close(read)
        os.close(write)
    assert list(closed_descriptors(["cat", named])) == []  # the command may open it itself


@pytest.mark.parametrize(
    "argument", ["/dev/fd/0", "/dev/fd/2", "/dev/fd/", "/dev/fd/x", "/dev/fd/³", f"/dev/fd/{10**30}", "3", ""]
)
def test_other_arguments_name_no_descriptor_that_is_closed(argument: str) -> None:
    assert list(closed_descriptors([argument])) == []
