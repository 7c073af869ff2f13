"""Everyday commands that use UDP: among themselves, or to learn about this machine."""

from __future__ import annotations

from functools import partial

from support.workday.case import Case

UDP = "UDP comes from a network of the command's own, made in namespaces of its own (ADR 99)"
# As Flask and Streamlit do it; the address is of the documentation (RFC 5737).
OWN_ADDRESS = (
    "import socket\n"
    "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
    '    try: s.connect(("192.0.2.1", 9)); print(s.getsockname()[0])\n'
    '    except OSError: print("127.0.0.1")\n'
)
EXCHANGE = (
    "import socket\n"
    "a, b = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))\n"
    'a.bind(("127.0.0.1", 0)); b.sendto(b"x", a.getsockname())\n'
    'assert a.recv(9) == b"x"\n'
)
NODE_EXCHANGE = (
    'const dgram = require("dgram"), a = dgram.createSocket("udp4");\n'
    'a.on("message", text => { console.log(String(text)); a.close(); b.close(); });\n'
    'const b = dgram.createSocket("udp4");\n'
    'a.bind(0, "127.0.0.1", () => b.send("came", a.address().port, "127.0.0.1"));\n'
)
INTERFACES = (
    "class A { public static void main(String[] a) throws Exception { "
    'System.out.println(java.net.NetworkInterface.getByName(\\"lo\\").isUp()); '
    "var s = new java.net.DatagramSocket(0, java.net.InetAddress.getLoopbackAddress()); "
    "s.send(new java.net.DatagramPacket(new byte[1], 1, s.getLocalSocketAddress())); "
    "s.receive(new java.net.DatagramPacket(new byte[1], 1)); } }"
)
GRADLE = (
    "mkdir -p src/main/java; echo 'class A { }' > src/main/java/A.java; "
    "echo \"apply plugin: 'java'\" > build.gradle; "
)

python = partial(Case, profile="python-dev", unshared=UDP)
java = partial(Case, profile="java-dev", unshared=UDP, is_slow=True)
CASES = [
    python(
        "a server looks for this machine's address", f"echo '{OWN_ADDRESS}' > a.py; python3 a.py | grep ."
    ),
    python("datagrams pass between sockets", f"echo '{EXCHANGE}' > a.py; python3 a.py"),
    Case(
        "node passes datagrams",
        f"echo '{NODE_EXCHANGE}' > a.js; timeout 20 node a.js | grep -qx came",
        profile="node-dev",
        unshared=UDP,
    ),
    java("java asks for an interface and passes datagrams", f'echo "{INTERFACES}" > A.java; java A.java'),
    java("gradle builds", GRADLE + "gradle -q --offline build; test -f build/libs/*.jar; gradle --stop"),
]
