"""Pictures that were taken in: lookup, history, listing, downloads, reruns, face search. May use: api, line."""
