"""Serve the Model Context Protocol on stdin and stdout, with a single tool that adds two numbers.

https://modelcontextprotocol.io/specification/2025-06-18/basic/transports
"""

import json
import sys

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
TOOLS = [{"name": "add", "description": "Adds two numbers", "inputSchema": SCHEMA}]


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        match asked.get("method"):
            case "initialize":
                version = asked["params"]["protocolVersion"]
                information = {"name": "sums", "version": "1"}
                result = {
                    "protocolVersion": version,
                    "capabilities": {"tools": {}},
                    "serverInfo": information,
                }
            case "tools/list":
                result = {"tools": TOOLS}
            case "tools/call":
                numbers = asked["params"]["arguments"]
                result = {"content": [{"type": "text", "text": f"the sum is {numbers['a'] + numbers['b']}"}]}
            case _:
                result = {}
        if "id" in asked:
            print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)


if __name__ == "__main__":
    main()
