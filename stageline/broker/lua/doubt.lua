-- Tells the catalogue of a picture apart from any step.
-- KEYS: 1 the list of outcomes, 2 since when its first stands there
-- ARGV: 1 the outcome
tell_catalogue(KEYS[1], KEYS[2], ARGV[1])
return 1
