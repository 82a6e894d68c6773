"""One file for each step; to add one, copy the latest and name it as what comes before."""
