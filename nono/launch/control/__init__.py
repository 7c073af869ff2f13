"""Open the control interface of a run (nono.control) with the parts of the run that it shows and changes."""
