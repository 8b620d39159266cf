#!/usr/bin/env bash
# Copyright (c) mmloc contributors. All rights reserved.
set -euo pipefail

# Makes the README's pictures, docs/assets/*.jpg, from a finished run of
# tools/quickstart.sh and from data/toy, with the proposals that --method soco
# makes there. Needs chromium.
#
# Usage: bash .dev/readme_pictures.sh [WORK_DIR]
cd "$(dirname "${BASH_SOURCE[0]}")/.."
run=$(realpath "${1:-work_dirs/quickstart}")
python=$(bash tools/setup_env.sh)
shot=$(mktemp -d)
trap 'rm -rf "$shot"' EXIT

"$python" tools/analysis_tools/browse_views.py --num 4 \
    configs/insloc/insloc_r18_fpn_toy.py docs/assets/composites.jpg
"$python" tools/analysis_tools/browse_views.py --num 2 --start 4 \
    configs/soco/soco_r18_fpn_toy.py docs/assets/views.jpg
"$python" tools/analysis_tools/quickstart_report.py "$run"
# Down to the loss curve.
chromium --headless --no-sandbox --hide-scrollbars --window-size=1100,2840 \
    --screenshot="$shot/report.png" "file://$run/report.html" 2>/dev/null
"$python" - "$shot/report.png" docs/assets/report.jpg <<'PYTHON'
import sys

import cv2

page = cv2.resize(cv2.imread(sys.argv[1]), None, fx=0.75, fy=0.75,
                  interpolation=cv2.INTER_AREA)
cv2.imwrite(sys.argv[2], page, [cv2.IMWRITE_JPEG_QUALITY, 75])
PYTHON
ls -l docs/assets
