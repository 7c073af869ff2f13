"""Run MCP servers for a command, each in a sandbox of its own, and lead their streams to it.

`check` looks at their profiles before the command starts. `servers` starts a `carrier` for each that a client
asks for, which runs it by `nono mcp` and carries its streams in `frames`; `inside` joins these to the streams
of a `nono mcp` that the command runs. `place` says where a server runs.
"""
