"""The imperative shell: use cases and loops that join store, host, workspaces, runtimes and agents."""
