"""Run MCP servers for a command, each in a sandbox of its own, and lead their streams to it.

`check` looks at their profiles before the command starts: at what their `command_line` has run, and with
`outside` at what is used for them outside. `servers` starts a `carrier` for each that a client asks for. It
runs the server by `nono mcp` and carries its streams in `frames`; `inside` joins these to the streams of a
`nono mcp` that the command runs. `place` says where a server runs.
"""
