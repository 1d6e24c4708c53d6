"""`zaehlwerk bench chaos`: everything round the bridge fails, and afterwards every count is held against what was offered."""
