"""Deliberately broken firmwares: what the suite of the rig must catch, each of them."""
