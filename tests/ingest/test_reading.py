import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from fieldguide.settings import Ingest
from ingest.layout.words import RawPage, Word
from ingest.parsed import NotRead, Parsed
from ingest.readers.passwords import Passwords
from ingest.readers.tesseract import to_json
from ingest.reading import Readers

ONE = Ingest(max_pages=9, workers=1, ocr="off")


class Kept(dict):
    """A cache of OCR that counts what is put."""

    def put(self, key, value):
        self[key] = value


def refused(reader, path):
    with pytest.raises(NotRead) as caught:
        reader.read_one(path)
    return caught.value.status, caught.value.reason


def pids(reader):
    return [child.process.pid for child in reader._children]


@pytest.fixture
def good_file(tmp_path, good):
    path = tmp_path / "good.pdf"
    path.write_bytes(good)
    return path


@pytest.fixture
def slow_file(tmp_path, pdf):
    path = tmp_path / "slow.pdf"
    path.write_bytes(pdf(["A line of text.\n" * 40] * 2000))
    return path


def test_one_child_reads_file_after_file_in_order_and_ends_with_the_reader(tmp_path, good_file, bad_files):
    files = [good_file]
    for name, (raw, _, _) in bad_files.items():
        (tmp_path / name).write_bytes(raw)
        files.append(tmp_path / name)
    files.append(tmp_path / "none.pdf")
    with Readers(ONE) as reader:
        results = list(reader.read((path, "") for path in files))
        (child,) = pids(reader)
        assert reader.read_one(good_file).title == "Wing report"
        assert pids(reader) == [child]
    assert [path for path, _ in results] == files
    assert [page.text for page in results[0][1].pages][1] == "The pilot was not hurt."
    assert [(result.status, result.reason) for _, result in results[1:-1]] == [
        (status, reason) for _, status, reason in bad_files.values()
    ]
    assert (results[-1][1].status, results[-1][1].reason) == ("damaged", "cannot be opened: No such file or directory")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_several_children_read_all_files_and_no_more_are_taken_than_there_are_children(tmp_path, good):
    taken = []

    def files():
        for n in range(8):
            path = tmp_path / f"{n}.pdf"
            path.write_bytes(good)
            taken.append(path)
            yield path, ""

    with Readers(Ingest(workers=2, ocr="off")) as reader:
        reading = reader.read(files())
        first, result = next(reading)
        assert isinstance(result, Parsed)
        assert len(taken) <= 4
        assert len(pids(reader)) == 2
        assert sorted([first, *(path for path, _ in reading)]) == taken


def test_whoever_stops_asking_gets_no_stale_answers_later(tmp_path, good_file, slow_file):
    with Readers(Ingest(workers=2, ocr="off")) as reader:
        reading = reader.read([(good_file, ""), (slow_file, "")])
        assert next(reading)[0] == good_file
        reading.close()
        assert [path for path, _ in reader.read([(good_file, "")])] == [good_file]


def test_a_file_over_the_size_limit_is_not_opened(tmp_path):
    path = tmp_path / "big.pdf"
    with path.open("wb") as file:
        file.truncate(2 * 2**20 + 1)
    with Readers(replace_settings(max_file_mb=2)) as reader:
        assert refused(reader, path) == ("too large", "2 MB is more than ingest.max_file_mb = 2")


def replace_settings(**changes):
    return Ingest(**{"workers": 1, "ocr": "off", **changes})


def test_a_slow_file_is_given_up_and_the_next_is_read(slow_file, good_file):
    with Readers(replace_settings(file_seconds=0.05)) as reader:
        started = time.monotonic()
        assert refused(reader, slow_file) == ("timed out", "not read within ingest.file_seconds = 0.05")
        assert time.monotonic() - started < 30
        reader._settings = ONE
        assert reader.read_one(good_file).title == "Wing report"


def test_a_child_that_dies_is_replaced_and_its_file_read_once_more_by_pypdf(tmp_path, good_file, pdf):
    slow = tmp_path / "slow.pdf"
    slow.write_bytes(pdf(["A line of text.\n" * 40] * 60))
    with Readers(replace_settings(file_seconds=60)) as reader:
        reader.read_one(good_file)
        (child,) = pids(reader)
        killer = threading.Timer(0.02, os.kill, (child, signal.SIGKILL))
        killer.start()
        parsed = reader.read_one(slow)
        killer.join()
        assert {page.reader for page in parsed.pages} == {"pypdf"}
        assert pids(reader) != [child]


def test_a_file_that_kills_every_child_is_damaged(good_file):
    with Readers(replace_settings(file_memory_mb=256)) as reader:
        reader._start = dying(reader)
        assert refused(reader, good_file) == ("damaged", "the process that read it died")
        del reader._start
        assert reader.read_one(good_file).title == "Wing report"


def dying(reader):
    """Starts children that are killed at once."""
    real = reader._start

    def start():
        child = real()
        child.process.kill()
        return child

    return start


def test_a_child_that_died_between_two_files_costs_none(good_file):
    with Readers(ONE) as reader:
        reader.read_one(good_file)
        os.kill(pids(reader)[0], signal.SIGKILL)
        reader._children[0].process.join()
        assert {page.reader for page in reader.read_one(good_file).pages} == {"pdfium"}


def test_memory_over_the_limit_costs_its_file_only(tmp_path, good_file):
    hungry = tmp_path / "hungry.pdf"
    with hungry.open("wb") as file:  # a header and then nothing: reading it whole takes more than the limit
        file.write(b"%PDF-1.4\n")
        file.truncate(300 * 2**20)
    with Readers(replace_settings(file_memory_mb=300)) as reader:
        assert refused(reader, hungry)[0] in {"damaged", "too large"}
        assert reader.read_one(good_file).title == "Wing report"


def test_passwords_reach_the_file_they_are_for(tmp_path, bad_files):
    path = tmp_path / "locked.pdf"
    path.write_bytes(bad_files["locked.pdf"][0])
    with Readers(ONE, Passwords((("locked*", "secret"),))) as reader:
        assert reader.read_one(path).title == "Wing report"


def test_pages_found_in_the_cache_are_not_read_by_ocr_again(tmp_path, monkeypatch):
    from PIL import Image

    path = tmp_path / "scan.pdf"
    Image.effect_noise((300, 300), 90).save(path, "PDF")
    word = Word("kept", 10, 10, 50, 22, 12, False, 0.9)
    page = to_json(RawPage(1, "", 300, 300, (word,), "", "tesseract", 0.9))
    monkeypatch.setattr("ingest.reading.missing_ocr", lambda language: "")
    monkeypatch.setattr("ingest.reading.tesseract_version", lambda: "5")
    keys = []

    class Cache(Kept):
        def get(self, key):
            keys.append(key)
            return page

    cache = Cache()
    with Readers(Ingest(workers=1), cache=cache) as reader:
        ((_, parsed),) = reader.read([(path, "hash")])
    assert (parsed.pages[0].text, parsed.pages[0].reader, parsed.pages[0].confidence) == ("kept", "tesseract", 0.9)
    assert len(set(keys)) == 1
    assert dict(cache) == {}


def test_a_scan_is_read_by_ocr_and_kept(tmp_path):
    from PIL import Image, ImageDraw, ImageFont

    from ingest.readers.tesseract import missing_ocr

    if missing_ocr("eng"):
        pytest.skip("needs the system package tesseract-ocr")
    images = [Image.new("L", (850, 400), 255) for _ in range(2)]
    for number, image in enumerate(images, 1):
        ImageDraw.Draw(image).text((100, 100), f"Scanned page {number}", fill=0, font=ImageFont.load_default(40))
    path = tmp_path / "scan.pdf"
    images[0].save(path, "PDF", resolution=100, save_all=True, append_images=images[1:])
    cache = Kept()
    with Readers(Ingest(workers=2), cache=cache) as reader:
        ((_, parsed),) = reader.read([(path, "hash")])
    assert [page.text for page in parsed.pages] == ["Scanned page 1", "Scanned page 2"]
    assert len(cache) == 2


def test_without_ocr_a_scan_is_refused_with_the_way_to_install_it(tmp_path, monkeypatch):
    from PIL import Image

    path = tmp_path / "scan.pdf"
    Image.effect_noise((300, 300), 90).save(path, "PDF")
    monkeypatch.setattr("ingest.reading.missing_ocr", lambda language: "install it")
    with Readers(Ingest(workers=1)) as reader:
        assert refused(reader, path) == ("image-only", "none of its 1 page(s) holds text: install it")


def test_the_reading_process_imports_none_of_the_heavy_libraries():
    code = (
        "import sys, ingest.readers.child, ingest.readers.pdf, ingest.layout.compose\n"
        "print([m for m in ('torch', 'faiss', 'transformers', 'pydantic', 'numpy') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
