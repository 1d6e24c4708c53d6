"""What runs on the board that plays pulses, and what speaks to it."""
