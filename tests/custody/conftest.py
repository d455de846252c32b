"""What the tests of the use cases share."""

import pytest

from custody.fleets import ANNA, BERT, Fleet
from installations import Installation
from pki.openssl import Made, Openssl


@pytest.fixture(scope="session")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> Openssl:
    return Openssl(tmp_path_factory.mktemp("openssl"))


@pytest.fixture(scope="session")
def ca(openssl: Openssl) -> Made:
    """The client CA of the cluster `prod`."""
    return openssl.make_ca("/CN=kubernetes")


@pytest.fixture(scope="session")
def annas(openssl: Openssl, ca: Made) -> Made:
    """A certificate of Anna's, signed by the client CA of `prod`."""
    return openssl.make(f"/O=system:users/CN={ANNA}-1795521600123456789", by=ca)


@pytest.fixture(scope="session")
def berts(openssl: Openssl, ca: Made) -> Made:
    """A certificate of Bert's, signed by the client CA of `prod`."""
    return openssl.make(f"/O=system:users/CN={BERT}", by=ca)


@pytest.fixture
def fleet(installation: Installation, ca: Made) -> Fleet:
    """Anna and Bert, and the cluster `prod`."""
    fleet = Fleet(installation)
    fleet.add_user("anna", ANNA, email="anna@example.com")
    fleet.add_user("bert", BERT)
    fleet.add_cluster("prod", ca.certificate)
    fleet.new_events()
    return fleet
