"""A lean HTTP/1.1 client for upstreams: pooled, bounded, streaming.

It does what a gateway needs and nothing else: no redirects, no cookies, no proxies from the
environment, no decompression, no pipelining.
"""
