"""Kubeconfig custody for fleets of Kubernetes clusters."""
