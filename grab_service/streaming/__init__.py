"""Events as they happen, for clients that watch. May use: api, line, images."""
