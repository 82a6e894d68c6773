"""Accepted pictures: lookup, history, listing, downloads, reruns, face search. May use: api, line."""
