"""What a technician does with boards: build the firmware, bring it onto them. See docs/technician.md."""
