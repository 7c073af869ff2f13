"""Command lines to what they ask for. Pure: `options` declares, `scan` or `argparse_parser` reads, `parse`
answers.
"""
