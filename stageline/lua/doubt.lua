-- Tells the catalogue of a picture apart from any step.
-- KEYS: 1 the list of outcomes
-- ARGV: 1 the outcome
tell_catalogue(KEYS[1], ARGV[1])
return 1
