"""Pins and parts of the boards that the node runs on; see README.md here."""
