"""How fast the bridge is between ChirpStack's Redis and the broker's PUBACK, each part of it real."""
