"""Name the network whose addresses stand for hosts that the command looks up."""

# For tests of network equipment (RFC 2544, appendix C.2.2): no host of the internet has an address of it.
FIRST_ADDRESS, NETMASK = "198.18.0.1", "255.254.0.0"
