"""Building blocks of every connection: connection sets, deadlines, handover of a protocol, splicing."""
