"""The pool's rows shared out to devices and processes: each row once, in order, as many on each device."""

import pytest

from jaxal.experiment.layout import own_share


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("devices_each", [1, 3])
@pytest.mark.parametrize("num_rows", [1, 3, 8, 12, 13, 101])
def test_each_row_is_one_process_s(num_rows, devices_each, count):
    shares = [own_share(num_rows, devices_each * count, number, count) for number in range(count)]
    assert [row for share in shares for row in share] == list(range(num_rows))
    on_device = -(-num_rows // (devices_each * count))
    for number, share in enumerate(shares):
        assert len(share) <= on_device * devices_each
        assert not len(share) or share.start == number * on_device * devices_each
