"""Fixtures of the host: a process on each kernel."""

import pytest

from tests.host.bench import Process


@pytest.fixture
def process():
    return Process(hugepages2m=8, hugepages1g=1)


@pytest.fixture(params=["6.12", "6.1"])
def either(request):
    return Process(hugepages2m=8, hugepages1g=1, kernel=request.param)


@pytest.fixture
def old():
    return Process(hugepages2m=8, hugepages1g=1, kernel="6.1")
