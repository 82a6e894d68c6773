-- Has the catalogue read again what the bucket says of a picture, apart from any transition.
-- KEYS: outcomes, outcomes_since
-- ARGV: outcome
tell_catalogue(arg.outcome)
return result.DONE
