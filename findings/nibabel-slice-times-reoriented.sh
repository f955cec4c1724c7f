#!/usr/bin/env bash
# nibabel 5.4.2: as_closest_canonical and img.slicer on a NIfTI file whose header tells when each slice was measured.
# Expected: header.get_slice_times() still gives each slice its own time. dim_info, which says what axis the slices are, is
# carried over on purpose.
# Seen: slices stored from head to foot are turned round with the data, the slice order (slice_code 1, "increasing") is not: the
# slice measured first gets 1.75 s instead of 0. Of eight slices, slicer[:, :, 4:] keeps four and eight times, which start
# at 0 for what was measured at 1.00 s. No warning; what corrects slice timing by this header (3dTshift does) corrects it wrongly.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.11}" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check nibabel==5.4.2 numpy==2.4.6
cat > "$folder/check.py" <<'PYTHON'
import nibabel as nib
import numpy as np

measured = np.arange(8) * 0.25  # seconds, of the slices as they are stored: each voxel holds the time of its slice
values = np.broadcast_to(measured[:, None], (6, 6, 8, 3)).astype(np.float32)
image = nib.Nifti1Image(values, np.diag([2.0, 2.0, -3.0, 1.0]))  # the last axis runs from head to foot
image.header.set_zooms((2, 2, 3, 2))
image.header.set_xyzt_units("mm", "sec")
image.header.set_dim_info(freq=0, phase=1, slice=2)
image.header["slice_start"], image.header["slice_end"] = 0, 7
image.header.set_slice_duration(0.25)
image.header.set_slice_times(measured)  # nibabel itself chooses the code: sequential increasing


def told_and_true(img):
    return np.array(img.header.get_slice_times()), img.get_fdata()[0, 0, :, 0]


canonical, upper = nib.as_closest_canonical(image), image.slicer[:, :, 4:]
for name, img in {"as stored": image, "as_closest_canonical": canonical, "slicer[:, :, 4:]": upper}.items():
    told, true = told_and_true(img)
    print(f"{name:21} {img.header.get_value_label('slice_code')}, {img.shape[2]} slices\n  told {told}\n  true {true}")
told, true = told_and_true(image)
assert np.array_equal(told, true), "the stored image itself is read another way now"
told, true = told_and_true(canonical)
assert canonical.affine[2, 2] > 0 and np.array_equal(told, true[::-1]), "the order is turned round with the slices now"
told, true = told_and_true(upper)
assert len(told) == 8 and len(true) == 4 and np.array_equal(true, measured[4:]), "the times are cut with the slices now"
PYTHON
"$folder/env/bin/python" "$folder/check.py"
