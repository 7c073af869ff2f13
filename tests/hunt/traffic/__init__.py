"""The hunt of the proxy: traffic drawn at random, played with two secrets of one shape, and compared.

`programs` says what is tried, `ends` are the clients and upstreams on either side. `play` takes the steps of
one program in one thread with the proxy, so that two plays are alike read for read: it asks, `answering` has
the upstream's part, and `texts` what both send. `watch` knows what must hold of any play, `campaign` compares
two of them, and `hunting` goes on until the time is over. `servers` are real ones, which are asked without a
script; `planted` faults have to be seen.
"""
