"""The seam through which the processor, cores and GPUs are asked after: what it says, and that nothing goes past it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import small_onnx
from tarsia import cli, data, environment, hardware
from tarsia.doctor import split_statistics
from tarsia.engines import onnx_engine, onnx_file
from tarsia.errors import RecipeError

pytestmark = pytest.mark.processor

CHECKOUT = Path(__file__).parents[1]
# And the list of what is private all the same.
SEAM = (CHECKOUT / "src/tarsia/hardware.py", Path(__file__), CHECKOUT / "tests/test_architecture.py")
SEAM += (CHECKOUT / "tests/conftest.py",)  # gives each worker of the tests a core
PROBES = re.compile(
    r"cpuinfo|lscpu|OPTIMIZATION_CAPABILITIES|\bcuda\.(is_available|device_count|is_bf16_supported|get_device)|"
    r"sched_getaffinity|cpu_count|cpu\.max|bf16_supported|get_cpu_capability|cpu\._is_|get_capabilities|"
    r"platform\.(processor|machine)\b(?!\(\)\}\")|get_available_providers|mkldnn\.is_available"
)


def probes(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if PROBES.search(line)]


def test_nothing_else_probes_the_machine() -> None:
    folders = ("src", "tests", "benchmarks", "docs", "studies")
    files = [path for folder in folders for path in (CHECKOUT / folder).rglob("*.py") if path not in SEAM]
    assert len(files) > 200
    found = {str(path.relative_to(CHECKOUT)): probes(path.read_text(encoding="utf-8")) for path in files}
    assert {name: lines for name, lines in found.items() if lines} == {}, "ask tarsia.hardware"


def test_the_rule_sees_a_probe() -> None:
    for line in (
        'Path("/proc/cpuinfo").read_text()',
        'core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")',
        "torch.cuda.is_available()",
        "len(os.sched_getaffinity(0))",
        "os.cpu_count()",
        "torch.ops.mkldnn._is_mkldnn_bf16_supported()",
        "torch.cpu._is_amx_tile_supported()",
        "onnxruntime.get_available_providers()",
        "platform.processor()",
    ):
        assert probes(line) == [line]
    assert probes("hardware.torch_computes_bfloat16()\nhardware.cores()") == []


# ---- what it says

X86 = "processor\t: 0\nmodel name\t: A Good One\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\nmodel name\t: Another\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X86.format(flags="avx avx2"), ["AVX2"]),
        (X86.format(flags="avx2 avx_vnni"), ["AVX2", "VNNI"]),
        (X86.format(flags="avx2 avx512f avx512_vnni"), ["AVX2", "AVX-512", "VNNI"]),
        (
            X86.format(flags="avx2 avx512f avx512_bf16 avx512_vnni amx_tile amx_bf16"),
            ["AVX2", "AVX-512", "VNNI", "bfloat16", "AMX"],
        ),
        ("processor\t: 0\nFeatures\t: fp asimd bf16 sve\n", ["bfloat16", "NEON", "SVE"]),
        ("", []),
        (None, []),
    ],
)
def test_instructions(text: str | None, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "cpuinfo")
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert hardware.instructions() == expected
    if text and "A Good One" in text:
        assert hardware.processor() == "A Good One"


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", 64), ("150000 100000", 2), ("50000 100000", 1), ("9900000 100000", 64), ("", 64), (None, 64)],
)
def test_a_containers_quota_bounds_the_cores(
    quota: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    if quota is not None:
        (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert hardware.cores(tmp_path / "cpu.max") == expected


@pytest.mark.parametrize(
    ("onednn", "flags", "expected"),
    [
        (True, ["AVX2", "AVX-512", "bfloat16"], True),
        (True, ["AVX2", "AVX-512"], False),  # emulated
        (False, ["AVX2", "AVX-512", "bfloat16"], False),  # held back by ONEDNN_MAX_CPU_ISA
        (False, ["AVX2"], False),
    ],
)
def test_bfloat16_is_for_those_who_have_it(
    onednn: bool, flags: list[str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    monkeypatch.setattr(hardware, "instructions", lambda: flags)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    assert hardware.torch_computes_bfloat16() is expected
    assert hardware.torch_described().endswith(", bfloat16") is expected
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert hardware.torch_computes_bfloat16() is False
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert hardware.torch_computes_bfloat16("cuda:1") is True
    assert hardware.torch_computes_bfloat16("mps") is False


def test_what_it_asks_torch_is_still_there() -> None:
    """A private function of torch's among them: where a new torch lacks it, this line says so first."""
    torch = pytest.importorskip("torch")
    assert callable(torch.ops.mkldnn._is_mkldnn_bf16_supported), "hardware.torch_computes_bfloat16 needs another way"
    assert isinstance(hardware.torch_computes_bfloat16(), bool)
    assert hardware.torch_described()


# ---- who asks, given either answer


@pytest.mark.parametrize("has", [True, False])
def test_the_device_is_a_gpu_where_there_is_one(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch_engine = pytest.importorskip("tarsia.engines.torch_engine")
    monkeypatch.setattr(hardware, "has_cuda", lambda: has)
    assert torch_engine.pick_device("auto") == ("cuda" if has else "cpu")


@pytest.mark.parametrize("has", [True, False])
def test_onnx_runtime_takes_a_gpu_where_it_has_one(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["CUDAExecutionProvider"] * has + ["CPUExecutionProvider"]
    monkeypatch.setattr(hardware, "onnxruntime_providers", lambda: names)
    assert onnx_engine._device("auto") == ("cuda" if has else "cpu")
    if not has:
        with pytest.raises(RecipeError, match="ONNX Runtime has CPUExecutionProvider"):
            onnx_engine._device("cuda")


@pytest.mark.parametrize("count", [1, 3, 64])
def test_threads_are_one_a_core(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: count)
    file = onnx_file.parse(small_onnx.content(), "m")
    assert onnx_engine.OnnxEngine(file, "m", "cpu").threads == count
    assert environment.describe()["cores"] == count
    asked: list[int] = []
    monkeypatch.setattr(split_statistics, "_in_order", lambda _, threads: asked.append(threads) or iter(()))
    split_statistics.examine_split("train", data.open("streets", None, "train", count=1, size=(32, 32)))
    assert asked == [min(count, split_statistics._MOST_THREADS)]


def test_info_says_what_the_machine_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    answers: dict[str, Any] = {"processor": "A Good One", "instructions": ["AVX2"], "cores": 3}
    monkeypatch.setattr(hardware, "onnxruntime_providers", lambda: ["BestProvider"])
    for name, answer in answers.items():
        monkeypatch.setattr(hardware, name, lambda answer=answer: answer)
    monkeypatch.setattr(sys, "argv", ["tarsia", "info", "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in answers} == answers
    assert found["onnxruntime"]["providers"] == ["BestProvider"]
