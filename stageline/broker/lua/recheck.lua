-- Has the catalogue read again what the bucket says of a picture, apart from any transition.
-- KEYS: outcomes, outcomes_since
-- ARGV: outbox_event
push_outbox_event(arg.outbox_event)
return result.DONE
