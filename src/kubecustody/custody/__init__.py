"""Use cases: what happens for each operation and each command, inside one transaction.

Each takes `custody` (the open installation), the account, who acts (`Author`) and `now`.
"""
