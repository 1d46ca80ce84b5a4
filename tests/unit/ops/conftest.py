from tests.unit.adapters.conftest import embedded_aws

__all__ = ["embedded_aws"]
