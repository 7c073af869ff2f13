"""Fields that are known and not built yet are refused by name, whatever was validated before."""

import subprocess
import sys

import pytest

from nono.policy.schema.unimplemented import UNIMPLEMENTED

FIELDS = sorted(name for _, name in UNIMPLEMENTED)


@pytest.mark.parametrize("field", FIELDS)
def test_the_shape_of_an_unbuilt_field_validates_in_a_process_that_validated_nothing_else(field: str) -> None:
    code = (
        "import sys\n"
        "from nono.policy.document.validate import _shape_mistakes\n"
        "from nono.policy.schema.unimplemented import UNIMPLEMENTED\n"
        "(shape,) = [each for (_, name), each in UNIMPLEMENTED.items() if name == sys.argv[1]]\n"
        "print(*(each.what for each in _shape_mistakes(shape, [])))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, field], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "expected an object\n"), done.stderr
