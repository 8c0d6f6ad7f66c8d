"""GitHub on a loopback port, for tests: what it publishes of its interface, and a double that keeps to it.

The double executes GraphQL against GitHub's published schema, so a query that GitHub would refuse fails here too; its
REST answers are checked against GitHub's published description (`tests/github/contracts.py`). Its state is changed from
Python: `double.state` holds repositories, pull requests, checks and conversations.
"""
