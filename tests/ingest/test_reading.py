import os
import signal
import threading
import time

import pytest

from fieldguide.settings import Ingest
from ingest.parse import NotRead
from ingest.reading import Reader


def refused(reader, path):
    with pytest.raises(NotRead) as caught:
        reader.read(path)
    return caught.value.status, caught.value.reason


@pytest.fixture
def good_file(tmp_path, good):
    path = tmp_path / "good.pdf"
    path.write_bytes(good)
    return path


def test_one_child_reads_file_after_file_and_ends_with_the_reader(tmp_path, good_file, bad_files):
    for name, (raw, _, _) in bad_files.items():
        (tmp_path / name).write_bytes(raw)
    with Reader(Ingest(max_pages=9)) as reader:
        assert reader.read(good_file).pages[1] == ("2", "The pilot was not hurt.")
        child = reader._process
        for name, (_, status, reason) in bad_files.items():
            assert refused(reader, tmp_path / name) == (status, reason)
        assert reader.read(good_file).title == "Wing report"
        assert reader._process is child
        assert child.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_file_over_the_size_limit_is_not_opened(tmp_path):
    path = tmp_path / "big.pdf"
    with path.open("wb") as file:
        file.truncate(2 * 2**20 + 1)
    with Reader(Ingest(max_file_mb=2)) as reader:
        assert refused(reader, path) == ("too large", "2 MB is more than ingest.max_file_mb = 2")
        assert reader._process is None


def test_a_slow_file_is_given_up_and_the_next_is_read(tmp_path, good_file, pdf):
    slow = tmp_path / "slow.pdf"
    slow.write_bytes(pdf(["A line of text.\n" * 40] * 2000))
    with Reader(Ingest(file_seconds=60)) as reader:
        reader.read(good_file)  # the child has started
        reader._settings = Ingest(file_seconds=0.05)
        started = time.monotonic()
        assert refused(reader, slow) == ("timed out", "not read within ingest.file_seconds = 0.05")
        assert time.monotonic() - started < 2
        reader._settings = Ingest(file_seconds=60)
        assert reader.read(good_file).title == "Wing report"


def test_a_child_that_dies_while_reading_costs_its_file_only(tmp_path, good_file, pdf):
    slow = tmp_path / "slow.pdf"
    slow.write_bytes(pdf(["A line of text.\n" * 40] * 2000))
    with Reader(Ingest()) as reader:
        reader.read(good_file)
        child = reader._process.pid
        killer = threading.Timer(0.05, os.kill, (child, signal.SIGKILL))
        killer.start()
        assert refused(reader, slow) == ("damaged", "the process that read it died")
        killer.join()
        assert reader.read(good_file).title == "Wing report"
        assert reader._process.pid != child


def test_a_child_that_died_between_two_files_costs_none(good_file):
    with Reader(Ingest()) as reader:
        reader.read(good_file)
        os.kill(reader._process.pid, signal.SIGKILL)
        reader._process.join()
        assert reader.read(good_file).title == "Wing report"


def test_memory_over_the_limit_costs_its_file_only(tmp_path, good_file):
    hungry = tmp_path / "hungry.pdf"
    with hungry.open("wb") as file:  # a header and then nothing: reading it whole takes more than the limit
        file.write(b"%PDF-1.4\n")
        file.truncate(300 * 2**20)
    with Reader(Ingest(file_memory_mb=300)) as reader:
        assert refused(reader, hungry)[0] in {"damaged", "too large"}
        assert reader.read(good_file).title == "Wing report"
