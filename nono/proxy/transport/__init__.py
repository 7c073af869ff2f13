"""Building blocks of every connection: sets, deadlines, watches, handover of a protocol, splicing."""
