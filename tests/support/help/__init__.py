"""What help prints, and what is answered to mistakes, as files to be read in a diff."""
