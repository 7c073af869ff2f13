"""HTTP as checked values: messages, targets, codings, refusals.

Pure, and below everything else in the proxy.
"""
