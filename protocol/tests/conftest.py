"""Settings of this room's property tests: a machine under load is no failure."""

from hypothesis import settings

settings.register_profile("zaehlwerk-protocol", deadline=None, print_blob=True)
settings.load_profile("zaehlwerk-protocol")
