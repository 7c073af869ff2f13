"""Keep what help prints, and the answers to mistakes, as files that can be read in a diff."""
