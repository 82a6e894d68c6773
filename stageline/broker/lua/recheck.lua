-- Appends an outbox event outside any transition, so that the catalogue reads a picture's results again.
-- KEYS: outcomes, outcomes_since
-- ARGV: outbox_event
push_outbox_event(arg.outbox_event)
return result.DONE
