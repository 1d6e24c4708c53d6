"""`python -m zaehlwerk_bridge` is the command `zaehlwerk-bridge`."""

from zaehlwerk_bridge.cli import main

main()
