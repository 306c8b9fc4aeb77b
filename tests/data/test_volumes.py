"""Volumes on disk: voxel sizes and axes as every program writes them, and files that are whole or not there."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import torch

from exitwave.cli.images import written
from exitwave.data.volumes import VolumeWriter, read_volume, require_voxel, write_labels, write_volume
from exitwave.data.volumes.metadata import micrometres_per

VOXEL = (0.3, 0.123456789, 0.1)
STACK = np.arange(5 * 9 * 8, dtype=np.uint16).reshape(5, 9, 8)
OVULE = Path(__file__).resolve().parents[3] / "shared" / "data" / "membranes_ovule" / "sample_ovule.h5"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tiff(data: np.ndarray = STACK, **options: Any) -> Path:
    """Return the path of a file that tifffile writes by itself."""
    tifffile.imwrite("image.tif", data, photometric="minisblack", **options)
    return Path("image.tif")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("compressed", [True, False])
def test_other_programs_read_samples_axes_and_voxels(dtype: str, compressed: bool) -> None:
    data = np.random.default_rng(0).integers(0, 100, (5, 9, 8)).astype(dtype)
    with VolumeWriter("cells.ome.tif", (5, 9, 8), dtype, VOXEL, compressed=compressed) as writer:
        for plane in data:
            writer.write(plane)
    with tifffile.TiffFile("cells.ome.tif") as file:
        assert file.is_ome
        assert file.series[0].axes == "ZYX"
        assert file.series[0].dtype == np.dtype(dtype)
        np.testing.assert_array_equal(file.asarray(), data)
        told: Any = tifffile.xml2dict(file.ome_metadata or "")
        pixels = told["OME"]["Image"]["Pixels"]
        assert [float(pixels[f"PhysicalSize{axis}"]) for axis in "ZYX"] == pytest.approx(VOXEL, rel=1e-6)
        dots, centimetres = file.pages.first.tags["YResolution"].value
        assert 1e4 * centimetres / dots == pytest.approx(VOXEL[1], rel=1e-6)
    volume = read_volume("cells.ome.tif")
    assert volume.voxel == VOXEL
    assert volume.notes == ()
    assert volume.data.dtype == (np.float32 if dtype == "float64" else dtype)
    np.testing.assert_array_equal(torch.as_tensor(volume.data), data)


def test_bytes_are_the_same_every_time_and_slabs_make_no_difference() -> None:
    one, other = write_volume("a/one.tif", STACK, VOXEL), Path("other.tif")
    with VolumeWriter(other, (5, 9, 8), "uint16", VOXEL) as writer:
        writer.write(STACK[:3])
        writer.write(torch.as_tensor(STACK[3]))
        writer.write(STACK[4])
    assert one.read_bytes() == other.read_bytes()


def test_channels_have_names_and_are_asked_for() -> None:
    with VolumeWriter("two.tif", (5, 9, 8), "uint16", VOXEL, channels=("membrane", "nuclei <\u00b5>")) as writer:
        writer.write(STACK)
        writer.write(STACK + 1)
    with tifffile.TiffFile("two.tif") as file:
        assert file.series[0].axes == "CZYX"
        told: Any = tifffile.xml2dict(file.ome_metadata or "")
        assert [c["Name"] for c in told["OME"]["Image"]["Pixels"]["Channel"]] == ["membrane", "nuclei <\u00b5>"]
    with pytest.raises(ValueError, match=r"one channel in two\.tif, got 2; choose one of them by channel=0 to 1"):
        read_volume("two.tif")
    np.testing.assert_array_equal(read_volume("two.tif", channel=1).data, STACK + 1)
    with pytest.raises(ValueError, match=r"channel must be from 0 to 1 in .*, got 2"):
        read_volume("two.tif", channel=2)
    with pytest.raises(ValueError, match=r"expected frame=3 of .*, got one frame alone"):
        read_volume("two.tif", channel=0, frame=3)


def test_one_plane_with_a_depth_is_a_volume() -> None:
    write_volume("thin.tif", STACK[:1], VOXEL)
    assert read_volume("thin.tif").data.shape == (1, 9, 8)


def test_memory_of_writing_and_of_reading_a_channel_does_not_grow_with_the_volume() -> None:
    plane = np.random.default_rng(0).random((256, 256), dtype=np.float32)
    for depth in (2, 64):
        tracemalloc.start()
        with VolumeWriter("deep.tif", (depth, 256, 256), "float32", VOXEL, channels=("a", "b", "c", "d")) as writer:
            for _ in range(4 * depth):
                writer.write(plane)
        assert tracemalloc.get_traced_memory()[1] < 3 * plane.nbytes
        tracemalloc.stop()
    tracemalloc.start()
    assert read_volume("deep.tif", channel=2).data.nbytes == 64 * plane.nbytes
    assert tracemalloc.get_traced_memory()[1] < 2 * 64 * plane.nbytes
    tracemalloc.stop()


def test_beyond_four_gigabytes_it_is_a_bigtiff_and_what_is_broken_off_leaves_nothing() -> None:
    Path("big.tif").write_bytes(b"before")
    for depth, version in ((1000, 42), (2048, 43)):
        with (  # noqa: PT012
            pytest.raises(KeyboardInterrupt),
            VolumeWriter("big.tif", (depth, 1024, 1024), "uint16", VOXEL, compressed=False) as writer,
        ):
            writer.write(np.zeros((1024, 1024), np.uint16))
            assert Path("big.tif.part").read_bytes()[2] == version
            raise KeyboardInterrupt
    assert Path("big.tif").read_bytes() == b"before"
    assert not Path("big.tif.part").exists()


def test_planes_that_are_missing_or_too_many_are_told() -> None:
    with pytest.raises(ValueError, match=r"expected 5 planes for short\.tif, got 3; write them all"):  # noqa: SIM117
        with VolumeWriter("short.tif", (5, 9, 8), "uint16", VOXEL) as writer:
            writer.write(STACK[:3])
    with pytest.raises(ValueError, match=r"expected 5 planes for long\.tif, got 6"):  # noqa: PT012, SIM117
        with VolumeWriter("long.tif", (5, 9, 8), "uint16", VOXEL) as writer:
            writer.write(STACK)
            writer.write(STACK[0])
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("compressed", [True, False])
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(compressed: bool) -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        with pytest.raises(OSError, match=r"^cannot write full\.tif: .*; make room, or choose another path$"):  # noqa: PT012, SIM117
            with VolumeWriter("full.tif", (64, 64, 64), "float32", VOXEL, compressed=compressed) as writer:
                for _ in range(64):
                    writer.write(noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(Path().iterdir()) == []


def test_paths_that_cannot_be_written_are_told_and_the_users_own_errors_are_left_alone() -> None:
    Path("file").touch()
    with pytest.raises(OSError, match=r"^cannot write file/a\.tif: .*another path$"):
        write_volume("file/a.tif", STACK, VOXEL)
    with pytest.raises(FileNotFoundError, match="elsewhere"), VolumeWriter("a.tif", (5, 9, 8), "uint8", VOXEL):
        Path("elsewhere").read_bytes()


@pytest.mark.parametrize(
    ("path", "data", "voxel", "message"),
    [
        ("a.png", STACK, VOXEL, r"written as \.ome\.tif or \.tif, got a\.png"),
        ("a.tif", STACK[0], VOXEL, r"expected a volume \(Z, H, W\)"),
        ("a.tif", STACK[:0], VOXEL, "at least one voxel"),
        ("a.tif", STACK.astype(complex), VOXEL, "a volume must be of uint8, .*, got complex128"),
        ("a.tif", STACK.astype(bool), VOXEL, "got bool"),
        ("a.tif", STACK, (0.3, 0.0, 0.1), "voxel must be positive and finite"),
        ("a.tif", STACK, (0.3, float("nan"), 0.1), "voxel must be positive and finite"),
        ("a.tif", STACK, (0.1, 0.1), "voxel must be three lengths"),
        ("a.tif", STACK, "0.3 um", "voxel must be three lengths"),
    ],
)
def test_volumes_that_cannot_be_written_are_refused(path: str, data: np.ndarray, voxel: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        write_volume(path, data, voxel)
    assert list(Path().iterdir()) == []


def test_samples_are_not_rounded_without_a_word() -> None:
    writer = VolumeWriter("a.tif", (5, 9, 8), "uint16", VOXEL)
    with pytest.raises(TypeError, match=r"expected uint16 for a\.tif, got float64; round or convert it"), writer:
        writer.write(STACK * 1.0)
    with pytest.raises(ValueError, match=r"expected planes of \(9, 8\)"), writer:
        writer.write(STACK[:, :8])


def test_labels_take_the_smallest_type_of_integers() -> None:
    for high, dtype in ((65_535, np.uint16), (65_536, np.uint32)):
        labels = torch.zeros(3, 4, 5, dtype=torch.int64)
        labels[1, 2, 3] = high
        volume = read_volume(write_labels("labels.tif", labels, VOXEL))
        assert volume.data.dtype == dtype
        np.testing.assert_array_equal(volume.data, labels)
    for bad, message in ((STACK * 1.0, "must be integers"), (STACK * -1.0, "must be integers"), (labels - 1, "got -1")):
        with pytest.raises((TypeError, ValueError), match=message):
            write_labels("bad.tif", bad, VOXEL)
    assert not Path("bad.tif").exists()


def test_ome_of_other_programs_tells_voxels_in_its_own_units() -> None:
    about = {"PhysicalSizeX": 0.1, "PhysicalSizeY": 120, "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 0.4, "axes": "ZYX"}
    volume = read_volume(tiff(ome=True, metadata=about))
    assert volume.voxel == pytest.approx((0.4, 0.12, 0.1))
    np.testing.assert_array_equal(volume.data, STACK)


@pytest.mark.parametrize("unit", ["um", "micron", r"\u00B5m", "\u00b5m"])
def test_imagej_tells_voxels(unit: str) -> None:
    about = {"unit": unit, "spacing": -0.3, "axes": "ZYX"}
    if not unit.isascii():
        assert micrometres_per(unit) == 1.0  # which a TIFF cannot hold
        return
    volume = read_volume(tiff(imagej=True, resolution=(1 / 0.1, 1 / 0.2), metadata=about))
    assert volume.voxel == pytest.approx((0.3, 0.2, 0.1), rel=1e-6)
    assert volume.notes == ("the file has its planes -0.3 um apart, downwards: their order is kept",)


@pytest.mark.parametrize(
    ("options", "only"),
    [
        ({}, ""),
        ({"metadata": None}, ""),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, ""),
        ({"resolution": (1e5, 5e4), "resolutionunit": "CENTIMETER"}, ", only dy = 0.2 um and dx = 0.1 um"),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 0.1}}, ", only dx = 0.1 um"),
        ({"ome": True, "metadata": {"axes": "ZYX", "PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel"}}, ""),
        ({"imagej": True, "metadata": {"axes": "ZYX", "unit": "pixel", "spacing": 1.0}}, ""),
    ],
)
def test_an_unknown_voxel_is_asked_for_and_never_assumed(options: dict[str, Any], only: str) -> None:
    volume = read_volume(tiff(**options))
    assert volume.voxel is None
    told = rf"^the voxel size of image\.tif is not in the file{only}; pass voxel=\(dz, dy, dx\) in um / --voxel$"
    with pytest.raises(ValueError, match=told):
        require_voxel(volume)
    assert require_voxel(read_volume("image.tif", VOXEL)) == VOXEL


def test_the_given_voxel_stands_above_the_files_with_a_note() -> None:
    write_volume("cells.tif", STACK, (0.3, 0.1, 0.1))
    volume = read_volume("cells.tif", voxel=(0.5, 0.1, 0.1))
    assert volume.voxel == (0.5, 0.1, 0.1)
    assert volume.told == (0.3, 0.1, 0.1)
    assert volume.notes == ("voxel 0.5 x 0.1 x 0.1 um as given; the file says 0.3 x 0.1 x 0.1 um",)
    assert read_volume("cells.tif", voxel=(0.3001, 0.1, 0.1)).notes == ()


@pytest.mark.parametrize("size", [0.0, float("inf"), float("nan")])
def test_voxels_that_cannot_be_are_not_taken_from_files(size: float) -> None:
    volume = read_volume(
        tiff(ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1, "PhysicalSizeZ": size})
    )
    assert volume.voxel is None
    assert len(volume.notes) == 1
    assert f"the file says dz = {size:g} um, which is no size of a voxel" in volume.notes[0]


def test_axes_in_another_order_are_turned_by_what_the_file_says() -> None:
    volume = read_volume(tiff(STACK.transpose(1, 2, 0), metadata={"axes": "YXZ"}))
    np.testing.assert_array_equal(volume.data, STACK)
    assert volume.notes == ("axes YXZ of the file are turned into ZYX",)
    volume = read_volume("image.tif", axes="zyx")
    assert volume.data.shape == (9, 8, 5)
    assert volume.notes == ("axes ZYX as given; the file says YXZ",)
    np.save("xyz.npy", STACK.T)
    np.testing.assert_array_equal(read_volume("xyz.npy", axes="xyz").data, STACK)


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
@pytest.mark.parametrize("form", ["ome", "imagej"])
def test_frames_and_channels_are_chosen(options: dict[str, Any], form: str) -> None:
    if form == "imagej" and options:
        return  # which compresses nothing
    data = np.random.default_rng(0).integers(0, 255, (2, 5, 3, 9, 8), dtype=np.uint8)
    tiff(data, metadata={"axes": "TZCYX"}, **{form: True}, **options)
    for frame, channel, missing in ((None, None, "frame"), (1, None, "channel"), (None, 0, "frame")):
        with pytest.raises(ValueError, match=f"expected one {missing} in image.tif"):
            read_volume("image.tif", frame=frame, channel=channel)
    np.testing.assert_array_equal(read_volume("image.tif", channel=2, frame=1).data, data[1, :, 2])


def test_samples_of_a_colour_are_channels() -> None:
    data = np.random.default_rng(0).integers(0, 255, (5, 9, 8, 3), dtype=np.uint8)
    tifffile.imwrite("colour.tif", data, photometric="rgb", compression="zlib")
    np.testing.assert_array_equal(read_volume("colour.tif", channel=1).data, data[..., 1])


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (STACK[0], {}, r"expected a volume \(Z, H, W\) in image\.tif, got axes YX of 9 x 8 samples; pass a stack"),
        (STACK, {"metadata": {"axes": "TYX"}}, r"got axes TYX of .*; say what they are, such as axes='ZYX'"),
        (STACK[None].repeat(2, 0), {}, r"got unnamed axes of 2 x 5 x 9 x 8 samples; say .* axes='CZYX'"),
        (STACK[None].repeat(2, 0), {"metadata": {"axes": "PZYX"}}, "got axes PZYX .*; save one of its 2 along P alone"),
        (STACK.astype(np.complex64), {}, "expected integers or floats"),
        (np.full((3, 4, 5), np.nan, np.float32), {}, "got NaN or infinity in every voxel"),
    ],
)
def test_files_of_something_else_are_refused(data: np.ndarray, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_volume(tiff(data, **options))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("axes", ["ZY", "ZZYX", "ZYXQ", "CZYX"])
def test_axes_that_do_not_fit_are_refused(axes: str) -> None:
    with pytest.raises(ValueError, match="axes must"):
        read_volume(tiff(), axes=axes)


@pytest.mark.parametrize(
    "name", ["empty.tif", "empty.npy", "empty.h5", "text.tif", "text.npy", "none.tif", "a.png", "."]
)
def test_files_that_are_none_are_told_in_one_line(name: str) -> None:
    for suffix in ("tif", "npy", "h5"):
        Path(f"empty.{suffix}").touch()
        Path(f"text.{suffix}").write_text("no image at all")
    with pytest.raises((ValueError, OSError)) as error:
        read_volume(name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        None,
        {},
        {"metadata": None},
        {"metadata": None, "compression": "zlib"},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}},
    ],
)
def test_truncated_stacks_are_refused_wherever_pixels_are_missing(options: dict[str, Any] | None) -> None:
    data = np.random.default_rng(0).random((5, 16, 16)).astype(np.float32)
    path = write_volume("image.tif", data, VOXEL) if options is None else tiff(data, **options)
    np.testing.assert_array_equal(read_volume(path).data, data)
    whole = path.read_bytes()
    for size in range(0, len(whole), 61):
        path.write_bytes(whole[:size])
        try:
            found = read_volume(path).data
        except (ValueError, OSError) as error:
            assert "image.tif" in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
        else:
            # What ends the file may be no more than a directory's last text.
            np.testing.assert_array_equal(found, data)
            assert size > data.nbytes


def test_truncated_arrays_are_refused_wherever_they_end() -> None:
    np.save("whole.npy", STACK)
    whole = Path("whole.npy").read_bytes()
    for size in range(0, len(whole), 61):
        Path("cut.npy").write_bytes(whole[:size])
        with pytest.raises((ValueError, OSError), match=r"cut\.npy"):
            read_volume("cut.npy")


def test_voxels_that_are_not_finite_are_noted() -> None:
    data = STACK.astype(np.float64)
    data[1, 2, 3] = np.nan
    np.save("holes.npy", data)
    volume = read_volume("holes.npy")
    assert volume.data.dtype == np.float32
    assert volume.notes == ("1 of 360 voxels are not finite",)
    assert volume.voxel is None


def test_hdf5_tells_voxels_and_axes_by_attributes_and_scales() -> None:
    tags = {"axes": [{"key": key} for key in "czyx"]}
    with h5py.File("cells.h5", "w") as file:
        file.create_dataset("raw", data=STACK).attrs["element_size_um"] = (0.235, 0.15, 0.15)
        lab = file.create_dataset("ilastik/data", data=np.stack([STACK, STACK + 1]))
        lab.attrs["axistags"] = json.dumps(tags)
        scaled = file.create_dataset("scaled", data=STACK.transpose(2, 1, 0))
        for number, step in enumerate((1e-7, 2e-7, 3e-7)):
            axis = file.create_dataset(f"axis{number}", data=np.arange(scaled.shape[number]) * step)
            axis.make_scale("xyz"[number])
            scaled.dims[number].attach_scale(axis)
    assert read_volume("cells.h5:raw").voxel == (0.235, 0.15, 0.15)
    np.testing.assert_array_equal(read_volume("cells.h5:/raw").data, STACK)
    np.testing.assert_array_equal(read_volume("cells.h5:/ilastik/data", channel=1).data, STACK + 1)
    assert read_volume("cells.h5:scaled", axes="XYZ").voxel == pytest.approx((0.3, 0.2, 0.1))
    with pytest.raises(ValueError, match=r"expected one volume in cells\.h5, got 2; name one .*/ilastik/data 2 x 5 x"):
        read_volume("cells.h5")
    with pytest.raises(ValueError, match=r"expected a volume .* in cells\.h5:/axis0"):
        read_volume("cells.h5:axis0")
    with pytest.raises(ValueError, match=r"no dataset 'other' in cells\.h5; it holds /axis0 8"):
        read_volume("cells.h5:other")


def test_commands_write_volumes_as_stacks_and_pictures() -> None:
    volume = torch.rand(5, 9, 8)
    for name in ("cells.tif", "cells.png", "cells.npy"):
        assert "5 x 9 x 8 voxels of 0.3 x 0.1235 x 0.1 um" in written(volume, None, VOXEL, Path(name), exact=False)
    np.testing.assert_array_equal(read_volume("cells.tif").data, volume)
    assert read_volume("cells.tif").voxel == VOXEL
    np.testing.assert_array_equal(read_volume("cells.npy").data, volume)
    written(255 * volume, 8, VOXEL, Path("counts.tif"), exact=False)
    np.testing.assert_array_equal(read_volume("counts.tif").data, (255 * volume).round())


@pytest.mark.skipif(not OVULE.exists(), reason="needs the real images")
def test_a_real_stack_of_membranes() -> None:
    raw, labels = read_volume(f"{OVULE}:raw"), read_volume(f"{OVULE}:label")
    assert require_voxel(raw) == (0.235, 0.15, 0.15)
    assert raw.data.shape == labels.data.shape == (32, 128, 128)
    assert labels.data.dtype == np.uint16
