"""One thread: on a busy machine two threads that wait for each other make tiny tensors a hundred times slower."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
