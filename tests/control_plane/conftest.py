"""The control plane and the proxy, as fixtures."""

from control_plane.fixtures import control_plane as control_plane
from control_plane.fixtures import programs as programs
from control_plane.fixtures import proxy as proxy
