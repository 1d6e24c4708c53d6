"""Which flash operations power cuts are tried at: `make power-cuts` asks for each, `make test` for every third."""

import os

STEP = int(os.getenv("ZAEHLWERK_CUT_STEP") or "3")
