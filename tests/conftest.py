"""What all tests share: how property tests run."""

from hypothesis import HealthCheck, settings

# Speed is measured by `make bench`, never by a test: a busy machine is no failure.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
