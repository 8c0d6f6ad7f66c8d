"""The HTTP interface: decode, authorise, call one use case, encode. Nothing here decides anything about a session."""
